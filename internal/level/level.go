// Package level writes a level of suspicion for people and for programs.
package level

import (
	"math"
	"strconv"
)

// Phi is a suspicion level.
type Phi float64

// String returns the level as people read it: two digits are plenty.
func (p Phi) String() string {
	if p < 100 {
		return strconv.FormatFloat(float64(p), 'f', 1, 64)
	}
	return strconv.FormatFloat(float64(p), 'g', 3, 64)
}

// MarshalJSON implements json.Marshaler: six digits. JSON knows neither infinities, which become the largest number there is,
// nor NaN, which becomes null.
func (p Phi) MarshalJSON() ([]byte, error) {
	f := float64(p)
	if math.IsNaN(f) {
		return []byte("null"), nil
	}
	if math.IsInf(f, 0) {
		f = math.Copysign(math.MaxFloat64, f)
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
	return strconv.AppendFloat(nil, f, 'g', 6, 64), nil
}
