package cluster

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFoldKeepsTheLatestAndTheEndOfTheKnownBoot(t *testing.T) {
	up := func(boot uint64) Event { return Event{Kind: Up, Member: Member{Boot: boot}} }
	down := func(boot uint64) Event { return Event{Kind: Down, Member: Member{Boot: boot}} }
	suspect := Event{Kind: Suspect, Member: Member{Boot: 1}}
	updated := Event{Kind: Updated, Member: Member{Boot: 1, Tags: map[string]string{"zone": "b"}}}

	type seen struct {
		kind   Kind
		boot   uint64
		folded int
	}
	for name, tt := range map[string]struct {
		events []Event
		want   []seen
	}{
		"one":                      {[]Event{up(1)}, []seen{{Up, 1, 0}}},
		"suspicion cleared":        {[]Event{suspect, up(1)}, []seen{{Up, 1, 1}}},
		"down":                     {[]Event{suspect, down(1)}, []seen{{Down, 1, 1}}},
		"restart":                  {[]Event{down(1), up(2)}, []seen{{Down, 1, 0}, {Up, 2, 0}}},
		"restart after suspicion":  {[]Event{suspect, down(1), up(2)}, []seen{{Down, 1, 1}, {Up, 2, 0}}},
		"two restarts":             {[]Event{down(1), up(2), down(2), up(3)}, []seen{{Down, 1, 0}, {Up, 3, 2}}},
		"joined, then restarted":   {[]Event{up(1), down(1), up(2)}, []seen{{Down, 1, 1}, {Up, 2, 0}}},
		"tags while up is waiting": {[]Event{up(1), updated}, []seen{{Up, 1, 1}}},
		"tags twice":               {[]Event{updated, updated}, []seen{{Updated, 1, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			var pending []Event
			for _, e := range tt.events {
				pending = foldEvents(pending, e)
			}
			var got []seen
			for _, e := range pending {
				got = append(got, seen{e.Kind, e.Member.Boot, e.Folded})
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
	if e := foldEvents([]Event{up(1)}, updated)[0]; e.Member.Tags["zone"] != "b" {
		t.Errorf("the news that was waiting lost the new tags: %v", e.Member.Tags)
	}
}

// What a node learns about itself is not lost behind other news about itself, however slow the subscriber is.
func TestFoldKeepsTheAccusation(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	accused := func(minute int, epoch uint64) Event {
		return Event{Kind: Accused, Member: Member{Epoch: epoch}, Since: noon.Add(time.Duration(minute) * time.Minute)}
	}
	isolated, connected := Event{Kind: Isolated}, Event{Kind: Connected}
	for name, tt := range map[string]struct {
		events []Event
		want   []Kind
		folded []int
	}{
		"isolated, then accused":       {[]Event{isolated, accused(1, 1)}, []Kind{Isolated, Accused}, []int{0, 0}},
		"accused, then isolated":       {[]Event{accused(1, 1), isolated}, []Kind{Accused, Isolated}, []int{0, 0}},
		"isolated, connected, accused": {[]Event{isolated, connected, accused(1, 1)}, []Kind{Connected, Accused}, []int{1, 0}},
		"accused twice":                {[]Event{accused(1, 1), accused(2, 2)}, []Kind{Accused}, []int{1}},
		"twice, cut off in between":    {[]Event{accused(1, 1), isolated, connected, accused(2, 2)}, []Kind{Connected, Accused}, []int{1, 1}},
		"cut off again and again":      {[]Event{accused(1, 1), isolated, connected, isolated}, []Kind{Accused, Isolated}, []int{0, 2}},
	} {
		var pending []Event
		for _, e := range tt.events {
			pending = foldEvents(pending, e)
		}
		var kinds []Kind
		var folded []int
		for _, e := range pending {
			kinds, folded = append(kinds, e.Kind), append(folded, e.Folded)
			if e.Kind == Accused && !e.Since.Equal(noon.Add(time.Minute)) {
				t.Errorf("%s: accused since %v, want the first", name, e.Since)
			}
			if e.Kind == Accused && name == "accused twice" && e.Member.Epoch != 2 {
				t.Errorf("%s: epoch %d, want the latest", name, e.Member.Epoch)
			}
		}
		if !slices.Equal(kinds, tt.want) || !slices.Equal(folded, tt.folded) {
			t.Errorf("%s: %v with %v left out, want %v with %v", name, kinds, folded, tt.want, tt.folded)
		}
	}
}

// However long a subscriber sleeps, it wakes to two events a member at most, and to the last state.
func TestFoldIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pending []Event
		boot, alive, puts := uint64(1), false, 0
		var last Event
		put := func(k Kind) {
			last = Event{Kind: k, Member: Member{Boot: boot}}
			pending = foldEvents(pending, last)
			puts++
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 3).Draw(t, "step"); {
			case !alive:
				boot += uint64(step % 2)
				put(Up)
				alive = true
			case step == 0:
				put(Suspect)
			case step == 1:
				put(Down)
				alive = false
			case step == 2: // restart
				put(Down)
				boot++
				put(Up)
			default:
				put(Updated)
				last.Kind = pending[len(pending)-1].Kind
			}
		}
		if len(pending) > 2 {
			t.Fatalf("%d events wait, want at most 2", len(pending))
		}
		final, told := pending[len(pending)-1], len(pending)
		if final.Kind != last.Kind || final.Member.Boot != last.Member.Boot {
			t.Fatalf("the last event to wait is %v of boot %d, want %v of boot %d", final.Kind, final.Member.Boot, last.Kind, last.Member.Boot)
		}
		for _, e := range pending {
			told += e.Folded
		}
		if told != puts {
			t.Fatalf("%d events told or counted as folded, of %d", told, puts)
		}
	})
}
