package qos

import (
	"cmp"
	"image/color"
	"path/filepath"
	"slices"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/pulsering/pulsering/internal/picture"
)

// line is a named curve.
type line struct {
	name   string
	points plotter.XYs
}

// chart writes a picture of lines, with their names beside them. The first is drawn thickest: it is the one that the picture is about.
func chart(t *testing.T, file, title, xLabel, yLabel string, logX, logY bool, lines []line) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, xLabel, yLabel
	p.Add(plotter.NewGrid())
	names := plot.NewLegend()
	names.Top, names.Left, names.Padding = true, true, vg.Millimeter
	for i, l := range lines {
		if len(l.points) == 0 {
			continue
		}
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		curve, err := plotter.NewLine(l.points)
		if err != nil {
			t.Fatal(err)
		}
		curve.Color = colours[i%len(colours)]
		curve.Width = vg.Points(1)
		if i == 0 {
			curve.Width = vg.Points(2.5)
		}
		p.Add(curve)
		names.Add(l.name, curve)
	}
	if logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, picture.Decades{}
	}
	if logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, picture.Decades{}
	}
	if err := picture.Save(p, &names, filepath.Join(*out, file)); err != nil {
		t.Fatal(err)
	}
}

var colours = []color.Color{
	color.RGBA{0xd6, 0x27, 0x28, 0xff}, color.RGBA{0x7f, 0x7f, 0x7f, 0xff}, color.RGBA{0x1f, 0x77, 0xb4, 0xff}, color.RGBA{0x17, 0xbe, 0xcf, 0xff},
	color.RGBA{0x94, 0x67, 0xbd, 0xff}, color.RGBA{0x8c, 0x56, 0x4b, 0xff}, color.RGBA{0x2c, 0xa0, 0x2c, 0xff}, color.RGBA{0xff, 0x7f, 0x0e, 0xff},
	color.RGBA{0xbc, 0xbd, 0x22, 0xff}, color.RGBA{0xe3, 0x77, 0xc2, 0xff}, color.Black,
}
