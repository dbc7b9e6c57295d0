package lab

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"github.com/pulsering/pulsering/internal/picture"
)

var colours = map[string]color.Color{
	"pulsering":        color.RGBA{0x00, 0x72, 0xb2, 0xff}, // Okabe and Ito's, told apart by everybody
	"memberlist":       color.RGBA{0xd5, 0x5e, 0x00, 0xff},
	"memberlist-tuned": color.RGBA{0x00, 0x9e, 0x73, 0xff},
}

// draw makes the pictures of the series that there are figures for, and returns their file names.
func draw(dir string, found []*outcome) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	var made []string
	for _, p := range []struct {
		file string
		make func([]*outcome) (*plot.Plot, error)
	}{
		{"detection-over-size.svg", overSize},
		{"detection-over-loss.svg", overLoss},
		{"false-downs.svg", falseDowns},
		{"cost-over-size.svg", costOverSize},
	} {
		drawn, err := p.make(found)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.file, err)
		}
		if drawn == nil {
			continue
		}
		if err := picture.Save(drawn, nil, filepath.Join(dir, p.file)); err != nil {
			return nil, err
		}
		made = append(made, p.file)
	}
	return made, nil
}

// curve adds a line of one system: whole with filled points, or dashed.
func curve(p *plot.Plot, system, label string, points plotter.XYs, dashed bool) error {
	if len(points) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, dots.Color = colours[system], colours[system]
	dots.Shape = vgdraw.CircleGlyph{}
	if dashed {
		line.Dashes = []vg.Length{vg.Points(3), vg.Points(3)}
		dots.Shape = vgdraw.RingGlyph{}
	}
	p.Add(line, dots)
	p.Legend.Add(system+": "+label, line, dots)
	return nil
}

// detectionOver draws median and worst detection times of the chosen cases over x.
func detectionOver(found []*outcome, title, xLabel string, x func(*outcome) (float64, bool)) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, xLabel, "seconds until the survivors were told"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, picture.Decades{}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	any := false
	for _, s := range systemNames {
		var medians, worsts plotter.XYs
		for _, o := range found {
			at, ok := x(o)
			if r := o.Systems[s]; ok && r != nil && r.Detect.Median != nil {
				medians = append(medians, plotter.XY{X: at, Y: *r.Detect.Median})
				worsts = append(worsts, plotter.XY{X: at, Y: *r.Detect.Max})
			}
		}
		any = any || len(medians) > 0
		if err := curve(p, s, "median", medians, false); err != nil {
			return nil, err
		}
		if err := curve(p, s, "worst", worsts, true); err != nil {
			return nil, err
		}
	}
	if !any {
		return nil, nil
	}
	p.Y.Min, p.Y.Max = min(p.Y.Min, 0.2), 4*p.Y.Max // room for the legend
	return p, nil
}

func overSize(found []*outcome) (*plot.Plot, error) {
	p, err := detectionOver(found, "One crash, no loss", "members", func(o *outcome) (float64, bool) {
		return float64(o.Params.Nodes), strings.HasPrefix(o.Case, "crash/1-of-")
	})
	if p != nil {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, sizeTicks{}
	}
	return p, err
}

func overLoss(found []*outcome) (*plot.Plot, error) {
	return detectionOver(found, "One crash of 100, over loss", "packets lost (%)", func(o *outcome) (float64, bool) {
		return 100 * o.Params.Loss, o.Case == "crash/1-of-100" || o.Section == sectionLossy
	})
}

func costOverSize(found []*outcome) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "Nobody crashes, no loss", "members", "packets per node and second"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, sizeTicks{}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	any := false
	for _, s := range systemNames {
		var points plotter.XYs
		for _, o := range found {
			if r := o.Systems[s]; r != nil && o.Section == sectionCost {
				points = append(points, plotter.XY{X: float64(o.Params.Nodes), Y: r.Packets})
			}
		}
		any = any || len(points) > 0
		if err := curve(p, s, "packets", points, false); err != nil {
			return nil, err
		}
	}
	if !any {
		return nil, nil
	}
	p.Y.Min, p.Y.Max = 0, 1.5*p.Y.Max
	return p, nil
}

// falseDowns shows the rate in each section without a crash: a filled point is a rate that was measured, a ring the 95 % upper
// bound where there was no event.
func falseDowns(found []*outcome) (*plot.Plot, error) {
	sections := []string{sectionQuiet, sectionStall, sectionBlock, sectionSick, sectionComeGo, sectionWAN}
	labels := []string{"loss", "stalls", "blocked", "bad links", "come and go", "WAN"}
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = "False downs (rings: none; the 95 % upper bound)", "per member and hour"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, picture.Decades{}
	p.Legend.Top, p.Legend.Left = true, true
	p.NominalX(labels...)
	p.Add(plotter.NewGrid())
	any := false
	for k, system := range systemNames {
		var seen, bounds plotter.XYs
		for i, section := range sections {
			n, hours := 0, 0.0
			for _, o := range found {
				if r := o.Systems[system]; o.Section == section && r != nil {
					n, hours = n+r.False.All, hours+r.False.MemberHours
				}
			}
			x := float64(i) + 0.15*float64(k-1)
			switch {
			case hours == 0:
			case n == 0:
				bounds = append(bounds, plotter.XY{X: x, Y: poissonUpper(0) / hours})
			default:
				seen = append(seen, plotter.XY{X: x, Y: float64(n) / hours})
			}
		}
		for _, set := range []struct {
			points plotter.XYs
			shape  vgdraw.GlyphDrawer
		}{{seen, vgdraw.CircleGlyph{}}, {bounds, vgdraw.RingGlyph{}}} {
			if len(set.points) == 0 {
				continue
			}
			any = true
			dots, err := plotter.NewScatter(set.points)
			if err != nil {
				return nil, err
			}
			dots.Color, dots.Shape, dots.Radius = colours[system], set.shape, vg.Points(4)
			p.Add(dots)
		}
		dots, err := plotter.NewScatter(plotter.XYs{{X: 0, Y: 1}}) // for the legend only
		if err != nil {
			return nil, err
		}
		dots.Color, dots.Shape = colours[system], vgdraw.CircleGlyph{}
		p.Legend.Add(system, dots)
	}
	if !any {
		return nil, nil
	}
	p.Y.Max *= 30 // room for the legend
	return p, nil
}

// sizeTicks marks the sizes of clusters in the series.
type sizeTicks struct{}

func (sizeTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for _, n := range []float64{2, 3, 8, 32, 100, 300, 1000, 3000} {
		if n >= low && n <= high {
			ticks = append(ticks, plot.Tick{Value: n, Label: strconv.Itoa(int(n))})
		}
	}
	return ticks
}
