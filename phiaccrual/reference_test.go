package phiaccrual

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// log10 of a big number.
func log10(x *big.Float) float64 {
	m := new(big.Float)
	e := x.MantExp(m)
	f, _ := m.Float64()
	return math.Log10(f) + float64(e)*math.Log10(2)
}

// perBucket returns how many heartbeats lie in each bucket.
func perBucket[C uint8 | uint16](m *memory[C]) (counts []float64) {
	for b, c := range m.late {
		if b+1 < buckets {
			c -= m.late[b+1]
		}
		counts = append(counts, float64(c))
	}
	return counts
}

// referencePhi is the Calibrated model as its comment has it: plainly, term by
// term, with 200 bits. Silence in intervals is at most furthest.
func referencePhi(e *Estimator, silence float64) float64 {
	l := &e.learnt
	interval := float64(e.interval)
	lower := func(b int) float64 { return math.Pow(2, float64(int(l.base)+b)/2) }
	// Of the heartbeats in a bucket, the share that is later than x.
	share := func(b int, x float64) float64 {
		from, to := lower(b), lower(b+1)
		if b == 0 {
			from = 0
		}
		return max(0, min(1, (to-x)/(to-from)))
	}
	later := func(counts []float64, x float64) (k float64) {
		for b, c := range counts {
			k += c * share(b, x)
		}
		return k
	}
	long, medium, short := perBucket(&l.long), perBucket(&l.medium), perBucket(&l.short)
	reach := max(interval/10, float64(e.minStdDev))
	for b := buckets - 1; b > 0; b-- {
		above := 0.0
		for _, k := range long[b:] {
			above += k
		}
		if above >= 2 {
			reach = max(reach, lower(b+1))
			break
		}
	}
	corrected := func(p, km, nm, ks, ns float64) float64 {
		for _, m := range [][2]float64{{km, nm}, {ks, ns}} {
			if n := m[1]; n > 0 {
				p = min(max(p, (m[0]-math.Sqrt(m[0]))/n), (m[0]+3+1.7*math.Sqrt(m[0]))/n)
			}
		}
		return p
	}
	q := func(x float64) float64 {
		if x <= 0 {
			return 1
		}
		prior := 1.0
		if x > reach {
			prior = math.Pow(reach/x, 1.5) * math.Pow(10, -1.5*(x-reach)/max(reach, interval))
		}
		p := (later(long, x) + prior) / (float64(l.long.late[0]) + 1)
		p = corrected(p, later(medium, x), float64(l.medium.late[0]), later(short, x), float64(l.short.late[0]))
		if e.minStdDev > 0 {
			p = max(p, math.Erfc(x/float64(e.minStdDev)/math.Sqrt2)/2)
		}
		return min(1, p)
	}
	continued := func(lost, starts float64) float64 { return max(0, lost-starts) }
	onward := corrected((continued(float64(l.long.lost), float64(l.long.starts))+0.04)/(float64(l.long.lost)+2),
		continued(float64(l.medium.lost), float64(l.medium.starts)), float64(l.medium.lost),
		continued(float64(l.short.lost), float64(l.short.starts)), float64(l.short.lost))
	start := corrected((float64(l.long.starts)+0.05)/(float64(l.long.late[0])+10),
		float64(l.medium.starts), float64(l.medium.late[0]), float64(l.short.starts), float64(l.short.late[0]))
	start, onward = min(start, 0.9), min(onward, 0.9)
	if e.credit > 0 {
		start = onward
	}
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	sum, allLost := num(0), num(1)
	for i := 1; float64(i)*interval <= silence; i++ {
		p := onward
		if i == 1 {
			p = start
		}
		heard := new(big.Float).Sub(num(1), num(p))
		term := num(q(silence - float64(i)*interval))
		sum.Add(sum, term.Mul(term.Mul(term, heard), allLost))
		allLost.Mul(allLost, num(p))
	}
	return max(0, -log10(sum.Add(sum, allLost)))
}

// The clever code and the plain agree, whatever was learnt.
func TestCalibratedReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := mustNew(t, Config{
			Interval:  100 * time.Millisecond,
			MinStdDev: time.Duration(rapid.SampledFrom([]int64{0, 0, 3e7}).Draw(t, "minStdDev")),
			Window:    rapid.SampledFrom([]int{0, 50, 700}).Draw(t, "window"),
		})
		heavy := rapid.SampledFrom([]float64{0.5, 3}).Draw(t, "heavy")
		at, seq := epoch, uint64(0)
		r := rapid.Float64Range(0, 1)
		for range 2 { // good and bad times, so that the memories disagree
			loss := rapid.SampledFrom([]float64{0, 0.02, 0.3}).Draw(t, "loss")
			scale := rapid.SampledFrom([]float64{1e-5, 0.01, 0.3}).Draw(t, "scale")
			for range rapid.IntRange(1, 40).Draw(t, "draws") {
				u, v := r.Draw(t, "u"), r.Draw(t, "v")
				for range 30 { // a cheap generator between draws
					u, v = math.Mod(u*997+v, 1), math.Mod(v*1009+u+0.1, 1)
					gap := uint64(1)
					if u < loss {
						gap += uint64(v * 4)
					}
					seq += gap
					at = at.Add(time.Duration(gap)*e.interval + time.Duration(scale*math.Pow(v+1e-9, -heavy/4)*float64(e.interval)))
					e.HeartbeatSeq(at, seq)
				}
			}
		}
		if rapid.Bool().Draw(t, "alive") {
			e.Alive(at.Add(250 * time.Millisecond))
		}
		for range 20 {
			silence := math.Floor(math.Pow(10, rapid.Float64Range(-1, math.Log10(furthest)).Draw(t, "silence")) * float64(e.interval))
			got := e.Phi(at.Add(e.credit + time.Duration(silence)))
			if want := referencePhi(e, silence); math.Abs(got-want) > 1e-11*(1+want) {
				t.Fatalf("φ(%v) = %v, want %v", silence/1e8, got, want)
			}
		}
	})
}

// Halving keeps every tail within one half of its half, and forgets everything
// in the end.
func TestMemoryFades(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m memory[uint16]
		for range rapid.IntRange(0, 300).Draw(t, "n") {
			m.observe(rapid.IntRange(0, buckets-1).Draw(t, "b"))
			if run := rapid.Uint16Range(0, longestRun).Draw(t, "lost"); run > 0 {
				m.lose(run)
			}
		}
		for range 12 {
			before := m
			m.fade(rapid.Uint16Range(0, 1).Draw(t, "up"))
			for b := range buckets {
				if got, was := float64(m.late[b]), float64(before.late[b]); math.Abs(got-was/2) > 0.5 {
					t.Fatalf("above bucket %d: %v became %v", b, was, got)
				}
			}
		}
		if m.late[0] > 1 || m.starts > 1 || m.lost > 1 {
			t.Fatalf("%+v is left after 12 halvings", m)
		}
	})
}

// Losses are taken back only as far as a faded memory still holds them, and no run
// is left without a loss.
func TestAmendAfterFading(t *testing.T) {
	m := memory[uint16]{lost: 3, starts: 2}
	m.late[0] = 1
	m.amend(0, 2, 5, false)
	if m.lost != 0 || m.starts != 0 || m.late[0] != 1 || m.late[1] != 1 || m.late[2] != 1 || m.late[3] != 0 {
		t.Errorf("%+v", m)
	}
}

// Another interval shifts the buckets: each count moves by as much, as far as there
// are buckets, but those of bucket 0, of which is not known where in it they lay.
func TestMemoryShift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m memory[uint16]
		for range 50 {
			m.observe(rapid.IntRange(0, buckets-1).Draw(t, "b"))
		}
		n := rapid.IntRange(-buckets-3, buckets+3).Draw(t, "n")
		want := make([]float64, buckets)
		for b, c := range perBucket(&m) {
			to := max(0, min(buckets-1, b-n))
			if b == 0 {
				to = max(0, min(buckets/4, -n))
			}
			want[to] += c
		}
		m.shift(n)
		if got := perBucket(&m); !slices.Equal(got, want) {
			t.Fatalf("shifted by %d: %v, want %v", n, got, want)
		}
	})
}

// Fading loses and adds nothing on average: of the heartbeats in the long memory,
// the share that was late is what it was, though the counts are of one or two.
func TestFadingIsFair(t *testing.T) {
	const every, beats = 499, 2_000_000
	c := calibrated{limit: 800}
	sum := 0.0
	for i := range beats {
		late := time.Duration(0)
		if i%every == 0 {
			late = time.Second
		}
		c.observe(late, 0)
		sum += float64(c.long.late[1]) / float64(c.long.late[0])
	}
	if share := sum / beats * every; math.Abs(share-1) > 0.1 {
		t.Errorf("the share is %.2f times what it was", share)
	} else {
		t.Logf("the share is %.2f times what it was", share)
	}
}

// A memory never counts beyond its limit or its type.
func TestMemoryBounds(t *testing.T) {
	var m memory[uint8]
	for i := range 10_000 {
		if m.full(128) {
			m.fade(uint8(i & 1))
		}
		m.observe(i % buckets)
		lost := uint8(i % (longestRun + 1))
		if lost > 0 {
			m.lose(lost)
		}
		if m.late[0] > 128 || m.lost < lost || m.lost < m.starts {
			t.Fatalf("after %d: %+v", i, m)
		}
	}
}

// Buckets of half an octave: each point lies between the edges of its own.
func TestGrid(t *testing.T) {
	for k := range 110 {
		if e := edge(k); math.Abs(e/math.Pow(2, float64(k)/2)-1) > 1e-15 || halfOctave(e) != k || k > 0 && halfOctave(math.Nextafter(e, 0)) != k-1 {
			t.Errorf("edge(%d) = %v, which is in %d, and below it %d", k, e, halfOctave(e), halfOctave(math.Nextafter(e, 0)))
		}
	}
}

// FuzzEstimator drives an estimator by bytes: whatever is reported to it, φ is
// finite, not negative and monotone, and Reaches is its inverse.
func FuzzEstimator(f *testing.F) {
	f.Add([]byte{0, 10, 3, 8, 3, 8, 4, 90, 5, 12, 6, 40, 7, 1})
	f.Add([]byte{1, 200, 0, 255, 1, 1, 2, 128, 3, 255, 3, 255, 3, 0, 6, 255})
	f.Add([]byte{2, 1, 4, 4, 4, 4, 5, 255, 5, 0, 7, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		e := mustNew(t, Config{Model: Model(data[0] % 3), Interval: time.Duration(data[1]+1) * time.Millisecond})
		at, seq := epoch, uint64(0)
		for i := 2; i+1 < len(data); i += 2 {
			arg := data[i+1]
			step := time.Duration(arg) * e.interval / 16
			switch data[i] % 9 {
			case 0:
				at = at.Add(-step)
			case 1:
				at = at.Add(step << (arg % 32))
			case 2:
				_ = e.SetInterval(time.Duration(arg) * 10 * time.Millisecond) // 0 is an error and changes nothing
			case 3, 4:
				at = at.Add(step)
				seq++
				e.HeartbeatSeq(at, seq)
			case 5:
				at = at.Add(step)
				e.Heartbeat(at)
			case 6:
				e.Alive(at.Add(step))
			case 7:
				seq += uint64(arg)
				e.HeartbeatSeq(at, seq)
			case 8:
				e.Reset()
			}
		}
		before := 0.0
		for i := range 100 {
			at = at.Add(e.interval * time.Duration(i) / 7)
			phi := e.Phi(at)
			if !(phi >= 0) || math.IsInf(phi, 0) || phi < before-1e-9*(1+before) {
				t.Fatalf("φ went from %v to %v", before, phi)
			}
			before = phi
		}
		for _, x := range []float64{0.01, 0.3, 1, 4, 9, 30, 300} {
			r := e.Reaches(x)
			if r.IsZero() {
				if !e.last.IsZero() {
					t.Fatalf("never reaches %v", x)
				}
				continue
			}
			if phi := e.Phi(r); !(phi >= x) {
				t.Fatalf("Phi(Reaches(%v)) = %v", x, phi)
			}
			if phi := e.Phi(r.Add(-1)); !(phi <= x) {
				t.Fatalf("Phi(Reaches(%v) - 1ns) = %v", x, phi)
			}
		}
	})
}

// The slope, by which Reaches finds its way, is the derivative of φ, but at
// kinks.
func TestSlope(t *testing.T) {
	for _, m := range models {
		for _, minStdDev := range []time.Duration{0, 30 * time.Millisecond} {
			e := mustNew(t, Config{Model: m, Interval: 100 * time.Millisecond, MinStdDev: minStdDev})
			at := epoch
			for i := range 6000 {
				at = at.Add(e.interval)
				if i%20 != 7 && i%83 > 2 {
					// Bad, good, bad: the memories contradict one another.
					late := math.Pow(float64(i*7919%1009+1)/1009, -0.7) * 4e6
					if i < 3000 {
						late *= 5
					} else if i > 5900 {
						late *= 10
					}
					e.HeartbeatSeq(at.Add(time.Duration(late)), uint64(i))
				}
			}
			var c curve
			e.curve(&c, false)
			compared := 0
			for silence := e.interval / 2; silence < 80*e.interval; silence += 7919 * time.Microsecond {
				const h = 200
				before, _ := c.phi(silence - h)
				phi, slope := c.phi(silence)
				after, _ := c.phi(silence + h)
				left, right := (phi-before)/h, (after-phi)/h
				if math.Abs(left-right) > 1e-3*right+1e-13 {
					continue
				}
				compared++
				if want := (left + right) / 2; math.Abs(slope-want) > 2e-3*want+2e-13*phi {
					t.Errorf("%v: the slope of φ after %v is %v, want %v", m, silence, slope, want)
				}
			}
			t.Logf("%v: %d slopes compared", m, compared)
			if compared < 500 {
				t.Errorf("%v: only %d slopes compared", m, compared)
			}
		}
	}
}
