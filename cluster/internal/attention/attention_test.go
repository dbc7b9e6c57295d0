package attention

import (
	"testing"
	"time"
)

var (
	epoch = time.Unix(1_000_000, 0)
	rules = Rules{Miss: 100 * time.Millisecond, Reply: 100 * time.Millisecond, Stall: 400 * time.Millisecond}
)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func TestLate(t *testing.T) {
	var a Attention
	if late := a.Late(epoch); late != 0 {
		t.Errorf("%v late before anything was promised", late)
	}
	a.Promise(at(50))
	for now, want := range map[int]time.Duration{0: 0, 50: 0, 59: 0, 60: 10 * time.Millisecond, 550: 500 * time.Millisecond} {
		if late := a.Late(at(now)); late != want {
			t.Errorf("%v late after %d ms, want %v", late, now, want)
		}
	}
	if !a.Due().Equal(at(50)) {
		t.Errorf("due at %v", a.Due())
	}
}

// Stories of delays, cuts, and when the node judges and believes again.
func TestHolds(t *testing.T) {
	still := func(now, late int) func(*Attention) {
		return func(a *Attention) { a.StoodStill(at(now), time.Duration(late)*time.Millisecond, rules) }
	}
	cut := func(now int) func(*Attention) { return func(a *Attention) { a.CutOff(at(now), rules) } }
	slow := func(now int) func(*Attention) {
		return func(a *Attention) {
			r := rules
			r.Reply = 700 * time.Millisecond
			a.CutOff(at(now), r)
		}
	}
	for name, story := range map[string]struct {
		events       []func(*Attention)
		ready, heard int // when it judges, and from when on it believes; 0: all along
	}{
		"nothing happens":                      {nil, 0, 0},
		"a short delay":                        {[]func(*Attention){still(1000, 20)}, 1020, 0},
		"one in which answers may be missed":   {[]func(*Attention){still(1000, 150)}, 1100, 1100},
		"exactly that long":                    {[]func(*Attention){still(1000, 100)}, 1100, 1100},
		"longer than anybody may stand still":  {[]func(*Attention){still(1000, 401)}, 4000, 4000},
		"just as long":                         {[]func(*Attention){still(1000, 400)}, 1100, 1100},
		"cut off":                              {[]func(*Attention){cut(1000)}, 1100, 1100},
		"and answers take their time":          {[]func(*Attention){slow(1000)}, 1700, 1700},
		"always late: it judges between":       {[]func(*Attention){still(1000, 90), still(1095, 90), still(1185, 90)}, 1090, 0},
		"late again after as long as it lasts": {[]func(*Attention){still(1000, 90), still(1191, 90)}, 1281, 0},
		"long again and again":                 {[]func(*Attention){still(1000, 500), still(3000, 500), still(6500, 500)}, 4000, 4000},
		"long again after as long":             {[]func(*Attention){still(1000, 500), still(7001, 500)}, 10001, 10001},
		"held up, and then the first packet":   {[]func(*Attention){still(1000, 60), cut(1010)}, 1110, 1110},
		"cut off while it holds":               {[]func(*Attention){cut(1000), cut(1050)}, 1150, 1150},
		"a short hold shortens no long one":    {[]func(*Attention){still(1000, 500), still(1500, 20), cut(2000)}, 4000, 4000},
	} {
		t.Run(name, func(t *testing.T) {
			var a Attention
			for _, happens := range story.events {
				happens(&a)
			}
			want := time.Time{}
			if story.ready > 0 {
				want = at(story.ready)
			}
			if !a.Ready().Equal(want) {
				t.Errorf("it judges from %v on, want %v", a.Ready().Sub(epoch), want.Sub(epoch))
			}
			if story.heard == 0 {
				if !a.Hears(time.Time{}) {
					t.Error("it does not believe what it was told")
				}
				return
			}
			if a.Hears(at(story.heard - 1)) {
				t.Error("it believes what was told before the hold ended")
			}
			if !a.Hears(at(story.heard)) {
				t.Error("it does not believe what is told after the hold")
			}
		})
	}
}
