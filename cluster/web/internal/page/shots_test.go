//go:build e2e && linux

package page_test

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/pulsering/pulsering/internal/browsertest"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
)

var (
	shots = flag.String("shots", "", "the directory to write pictures of the page to, such as docs of this repository")
	past  = flag.Duration("past", 5*time.Second, "how long the page has watched when the picture's story begins")
)

// The pictures of the page, which somebody has to look at. Those in docs:
//
//	go test -tags e2e -run 'TestShots/(three|500|phone|dark)$' ./cluster/web/internal/page -shots $PWD/docs -past 55s
func TestShots(t *testing.T) {
	if *shots == "" {
		t.Skip("pictures are made with -shots DIR")
	}
	for _, shot := range []struct {
		name          string
		width, height int
		members       []string
		dark          bool
		act           func(*site, *browser)
	}{
		{"three", 1280, 800, []string{"orders-1", "orders-2", "orders-3"}, false, oneDown},
		{"twelve", 1440, 900, twelve, false, troubled},
		{"dark", 1440, 900, twelve, true, troubled},
		{"500", 1440, 900, numbered(500), false, storm},
		{"phone", 360, 780, twelve, false, troubled},
		{"phone-table", 360, 780, twelve, false, func(s *site, b *browser) {
			troubled(s, b)
			b.Eval(`document.querySelector(".members").scrollIntoView()`)
		}},
		{"member", 1280, 900, twelve, false, func(s *site, b *browser) {
			troubled(s, b)
			b.Eval(`location.hash = "#/member/payments-2"`)
			time.Sleep(2500 * time.Millisecond)
		}},
		{"member-down", 1280, 900, twelve, true, func(s *site, b *browser) {
			troubled(s, b)
			b.Eval(`location.hash = "#/member/orders-3"`)
			time.Sleep(2500 * time.Millisecond)
		}},
		{"isolated", 1280, 800, twelve, false, func(s *site, b *browser) {
			s.node.tell(cluster.Isolated, twelve[0], "")
			time.Sleep(4 * time.Second)
		}},
		{"lost", 1280, 800, twelve, false, func(s *site, b *browser) {
			troubled(s, b)
			s.shut()
			time.Sleep(5 * time.Second)
		}},
		{"token", 1280, 800, twelve, false, nil},
		{"alone", 1280, 800, []string{"orders-1"}, false, nil},
		{"joining", 1280, 800, nil, false, nil},
		{"well", 1280, 800, twelve, false, nil},
		{"grey", 1440, 900, twelve, false, func(s *site, b *browser) {
			b.Do(call(emulation.SetEmulatedVisionDeficiency, emulation.SetEmulatedVisionDeficiencyParams{
				Type: emulation.SetEmulatedVisionDeficiencyTypeAchromatopsia,
			}))
			troubled(s, b)
		}},
		{"narrow-100", 320, 780, numbered(100), false, func(s *site, b *browser) {
			storm(s, b)
			b.Eval(`document.querySelector(".ring").scrollIntoView()`)
		}},
		{"narrow-500", 240, 780, numbered(500), false, func(s *site, b *browser) {
			for i := range 60 {
				s.node.tell(cluster.Down, s.node.names()[1+i*8], cluster.ReasonVerdict)
			}
			time.Sleep(3 * time.Second)
			b.Eval(`document.querySelector(".ring").scrollIntoView()`)
		}},
		{"40", 1440, 900, numbered(40), false, storm},
		{"tablet", 820, 1100, twelve, false, troubled},
		{"help", 1280, 800, twelve, false, func(s *site, b *browser) { b.Eval(`document.getElementById("help-button").click()`) }},
	} {
		t.Run(shot.name, func(t *testing.T) {
			var node *fakeNode
			if shot.members != nil {
				node = newFake(shot.members...)
			}
			opts := web.Options{}
			if shot.name == "token" {
				opts.Token = func() string { return "0123456789abcdef" }
			}
			s := newSite(t, node, opts)
			s.open.Store(shot.name == "token")
			b := launch(t, s.url(), shot.width, shot.height)
			if shot.dark {
				b.prefers("prefers-color-scheme", "dark")
			}
			time.Sleep(*past) // for φ
			if shot.act != nil {
				shot.act(s, b)
			}
			time.Sleep(time.Second)
			picture := browsertest.Within(b.Page, func() ([]byte, error) { return chromedp.Run(b.Context, chromedp.CaptureScreenshot()) })
			small, err := smaller(picture)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(*shots, "dashboard-"+shot.name+".png"), small, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

var twelve = []string{
	"gateway-1", "gateway-2", "orders-1", "orders-2", "orders-3", "orders-4",
	"payments-1", "payments-2", "search-1", "search-2", "stock-1", "stock-2",
}

func oneDown(s *site, b *browser) {
	s.node.tell(cluster.Down, s.node.names()[2], cluster.ReasonSilent)
	time.Sleep(3 * time.Second)
}

// troubled is a cluster in which something of everything is.
func troubled(s *site, b *browser) {
	s.node.tell(cluster.Left, "search-2", cluster.ReasonLeft)
	s.node.tell(cluster.Down, "orders-3", cluster.ReasonSilent)
	s.node.tell(cluster.Updated, "stock-1", cluster.ReasonHealth, wedged)
	s.node.tell(cluster.Down, "gateway-2", cluster.ReasonRestarted)
	s.node.tell(cluster.Up, "gateway-2", cluster.ReasonRestarted)
	time.Sleep(2500 * time.Millisecond)
	s.node.tell(cluster.Suspect, "payments-2", cluster.ReasonSilent)
	time.Sleep(1200 * time.Millisecond)
}

func wedged(m *fakeMember, _ *cluster.Event) { m.Health = cluster.HealthWedged }

func storm(s *site, b *browser) {
	names := s.node.names()
	for i := range 12 {
		name := names[(i*41+7)%len(names)]
		s.node.tell(cluster.Down, name, cluster.ReasonVerdict)
		if i%4 == 0 {
			s.node.tell(cluster.Up, name, cluster.ReasonHeard)
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.node.tell(cluster.Suspect, names[3], cluster.ReasonSilent)
	time.Sleep(5 * time.Second)
}

// smaller is a picture with the 256 colours that it has most of: an interface has few.
func smaller(picture []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	count := map[color.RGBA]int{}
	bounds := from.Bounds()
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(from.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	often := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return cmp.Compare(count[b], count[a]) })
	palette := color.Palette{}
	for _, c := range often[:min(256, len(often))] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	to := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(palette.Index(c))
				nearest[c] = i
			}
			to.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to)
	return out.Bytes(), err
}
