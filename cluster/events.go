package cluster

import "slices"

// foldEvents decides what waits for a subscriber that is slower than a member changes: the latest event, and before it, where
// the subscriber knew an earlier boot of the member, the one that ended that boot. So nobody who hands out work by
// boot misses that one is over, and nothing grows. See mailbox.Fold.
func foldEvents(pending []Event, next Event) []Event {
	if len(pending) == 0 {
		return append(pending, next)
	}
	if aboutSelf(next.Kind) {
		return foldSelf(pending, next)
	}
	last := &pending[len(pending)-1]
	if last.Member.Boot != next.Member.Boot && ends(last.Kind) && len(pending) == 1 {
		return append(pending, next)
	}
	next.Folded += last.Folded + 1
	if next.Kind == Updated && last.Kind != Updated { // the new tags come with the news that was waiting
		next.Kind, next.Reason = last.Kind, last.Reason
	}
	*last = next
	return pending
}

func ends(k Kind) bool { return k == Down || k == Left }

func aboutSelf(k Kind) bool { return k == Isolated || k == Connected || k == Accused }

// foldSelf is foldEvents for what concerns the node itself: the latest of its connection waits, and beside that one Accused, for
// all of the time in which others held the node for down. Neither takes the place of the other.
func foldSelf(pending []Event, next Event) []Event {
	accused := next.Kind == Accused
	for i, e := range pending {
		if (e.Kind == Accused) == accused {
			next.Folded += e.Folded + 1
			if accused {
				next.Since = e.Since
			}
			pending = slices.Delete(pending, i, i+1)
			break
		}
	}
	return append(pending, next)
}
