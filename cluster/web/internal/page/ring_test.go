//go:build e2e && linux

package page_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
)

// outOfPlace are the members of the ring that are not within its picture, and those that stand out
// of it on each other.
const outOfPlace = `(() => {
	const picture = document.querySelector("#ring svg"), wrong = [];
	const [left, top, width, height] = picture.getAttribute("viewBox").split(" ").map(Number);
	const dots = [...picture.querySelectorAll(".dot")].map(dot => {
		const [x, y, scale] = dot.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
		return { x, y, out: scale > 0.9, at: dot.className.baseVal + " " + x + "," + y };
	});
	for (const d of dots) {
		if (!(d.x >= left && d.x <= left + width && d.y >= top && d.y <= top + height)) wrong.push(d.at);
	}
	const out = dots.filter(d => d.out);
	out.forEach((a, i) => out.slice(0, i).forEach(b => {
		if (Math.hypot(a.x - b.x, a.y - b.y) < 17.5) wrong.push(a.at + " on " + b.at);
	}));
	return wrong.slice(0, 5).join("; ");
})()`

// However narrow the page is, however many members there are, however long their names are and
// however many are not well: the ring is drawn, and the page answers.
func TestRingHasRoom(t *testing.T) {
	for _, test := range []struct{ members, unwell, from, to int }{
		{100, 6, 240, 300}, {100, 12, 290, 420}, {100, 20, 340, 480}, {100, 24, 240, 500}, {40, 24, 240, 300},
		{500, 60, 240, 320}, {500, 24, 240, 320}, {5, 3, 200, 260},
	} {
		t.Run(fmt.Sprintf("%d of %d", test.unwell, test.members), func(t *testing.T) {
			names := make([]string, test.members)
			for i := range names {
				names[i] = fmt.Sprintf("warehouse-node-%03d", i)
			}
			node := newFake(names...)
			for i := range test.unwell {
				node.tell(cluster.Down, names[1+i*(test.members-1)/test.unwell], cluster.ReasonSilent)
			}
			s := newSite(t, node, web.Options{})
			b := launch(t, s.url(), 1280, 800)
			b.until(fmt.Sprintf(`document.querySelectorAll("#ring .dot.is-down").length === %d`, test.unwell))
			for width := test.from; width <= test.to; width += 5 {
				b.size(width, 780)
				begin := time.Now()
				b.until(fmt.Sprintf(`Math.abs(document.querySelector("#ring svg").width.baseVal.value -
					document.querySelector("#ring").clientWidth) < 1 && innerWidth === %d`, width))
				if took := time.Since(begin); took > time.Second {
					t.Errorf("%d pixels: drawn after %v", width, took)
				}
				if wrong := b.Eval(outOfPlace); wrong != "" {
					t.Errorf("%d pixels: out of place: %s", width, wrong)
				}
			}
		})
	}
}
