// Package picture is what the plots of docs/results have in common.
package picture

import (
	"errors"
	"image/color"
	"math"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Save writes p as SVG, 16 by 10 cm, or 22 by 10 with a legend beside it that is not nil. There is room on the right for the half
// of the last tick's label that a plot does not reckon with.
func Save(p *plot.Plot, beside *plot.Legend, path string) error {
	width, room := 16*vg.Centimeter, 5*vg.Millimeter
	if beside != nil {
		width, room = 22*vg.Centimeter, 65*vg.Millimeter
	}
	canvas := vgsvg.New(width, 10*vg.Centimeter)
	whole := vgdraw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	p.Draw(vgdraw.Crop(whole, 0, -room, 0, 0))
	if beside != nil {
		beside.Draw(vgdraw.Crop(whole, width-room+5*vg.Millimeter, 0, 0, -5*vg.Millimeter))
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}

// Decades marks 1, 2 and 5 of each decade of a logarithmic axis, and names the decades alone where there are more than four.
type Decades struct{}

// Ticks implements plot.Ticker.
func (Decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := m * decade; v >= low && v <= high {
				label := strconv.FormatFloat(v, 'g', -1, 32)
				if m != 1 && high/low > 1e4 {
					label = ""
				}
				ticks = append(ticks, plot.Tick{Value: v, Label: label})
			}
		}
	}
	return ticks
}
