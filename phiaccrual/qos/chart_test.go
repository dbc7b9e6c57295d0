package qos

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

type point struct{ x, y float64 }

type line struct {
	name   string
	points []point
}

// chart draws lines as an SVG picture, points in order of x.
func chart(title, xLabel, yLabel string, lines []line) string {
	const width, height, left, right, top, bottom = 820, 480, 60, 160, 40, 50
	colours := []string{"#d62728", "#7f7f7f", "#1f77b4", "#17becf", "#9467bd", "#8c564b", "#2ca02c", "#ff7f0e", "#bcbd22", "#e377c2", "#000000"}
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, l := range lines {
		for _, p := range l.points {
			low = point{min(low.x, p.x), min(low.y, p.y)}
			high = point{max(high.x, p.x), max(high.y, p.y)}
		}
	}
	xStep, yStep := tick(high.x-low.x), tick(high.y-low.y)
	low = point{math.Floor(low.x/xStep) * xStep, math.Floor(low.y/yStep) * yStep}
	high = point{math.Ceil(high.x/xStep) * xStep, math.Ceil(high.y/yStep) * yStep}
	at := func(p point) (x, y float64) {
		return left + (p.x-low.x)/(high.x-low.x)*(width-left-right), height - bottom - (p.y-low.y)/(high.y-low.y)*(height-top-bottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", width, height)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n<text x=\"%d\" y=\"24\" font-size=\"16\">%s</text>\n", width, height, left, title)
	for x := low.x; x <= high.x+xStep/2; x += xStep {
		px, py := at(point{x, low.y})
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fV%d\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.6g</text>\n", px, py, top, px, py+16, x)
	}
	for y := low.y; y <= high.y+yStep/2; y += yStep {
		px, py := at(point{low.x, y})
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fH%d\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n", px, py, width-right, px-6, py+4, y+0) // no −0
	}
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (left+width-right)/2, height-12, xLabel)
	fmt.Fprintf(&b, "<text transform=\"translate(16 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", (top+height-bottom)/2, yLabel)
	for i, l := range lines {
		slices.SortFunc(l.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
		colour := colours[i%len(colours)]
		var path strings.Builder
		for j, p := range l.points {
			x, y := at(p)
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[j == 0], x, y)
		}
		fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n", path.String(), colour, map[bool]float64{true: 2.5, false: 1.3}[i == 0])
		y := top + 18*i
		fmt.Fprintf(&b, "<path d=\"M%d %dh20\" stroke=\"%s\" stroke-width=\"3\"/><text x=\"%d\" y=\"%d\">%s</text>\n", width-right+12, y, colour, width-right+38, y+4, l.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// tick is a round step that divides span into four to ten.
func tick(span float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(span)))
	switch n := span / step; {
	case n < 2:
		return step / 5
	case n < 4:
		return step / 2
	}
	return step
}
