//go:build !noplot

package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Pictures take a third of the binary, most of it fonts. A node in a container draws none: there one builds with -tags noplot.

// save draws the curve into a file.
func (c *curve) save(path string, threshold float64) error {
	p := plot.New()
	p.Title.Text = "φ over time"
	p.X.Label.Text, p.Y.Label.Text = "seconds", "φ"
	top, _ := c.top(threshold)
	p.Y.Min, p.Y.Max = 0, top*1.05
	points := make(plotter.XYs, len(c.highest))
	for i, phi := range c.highest {
		points[i] = plotter.XY{X: c.end(i).Seconds(), Y: math.Min(phi, top)}
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	limit, err := plotter.NewLine(plotter.XYs{{X: 0, Y: threshold}, {X: c.length.Seconds(), Y: threshold}})
	if err != nil {
		return err
	}
	line.Color, line.Width = color.RGBA{0x1f, 0x77, 0xb4, 0xff}, vg.Points(0.8)
	limit.Color, limit.Dashes = color.RGBA{0xd6, 0x27, 0x28, 0xff}, []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(plotter.NewGrid(), line, limit)
	p.Legend.Top = true
	p.Legend.Add("φ", line)
	p.Legend.Add(fmt.Sprintf("threshold %.1f", threshold), limit)
	return savePlot(p, path)
}

// savePlot writes the picture beside its place first: a full disk leaves no half of one.
func savePlot(p *plot.Plot, path string) error {
	to, err := p.WriterTo(22*vg.Centimeter, 10*vg.Centimeter, strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), "."))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pulsering-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = to.WriteTo(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
