package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// state is what a device's beats carry: stateSize bytes of the 64 that are the application's own.
type state struct {
	Battery uint8   // percent
	Reading float32 // degrees Celsius
}

const (
	stateSize = 1 + 4
	// No thermometer of these devices shows less or more.
	minReading, maxReading = -60, 100
)

func (s state) encode() []byte {
	return binary.BigEndian.AppendUint32([]byte{s.Battery}, math.Float32bits(s.Reading))
}

// decodeState checks what a device sends: anybody may have written its program.
func decodeState(b []byte) (state, error) {
	if len(b) != stateSize {
		return state{}, fmt.Errorf("a state of %d bytes, want %d", len(b), stateSize)
	}
	s := state{b[0], math.Float32frombits(binary.BigEndian.Uint32(b[1:]))}
	switch {
	case s.Battery > 100:
		return state{}, fmt.Errorf("a battery of %d %%, want at most 100", s.Battery)
	case !(s.Reading >= minReading && s.Reading <= maxReading): // also what is no number
		return state{}, fmt.Errorf("a reading of %v, want %d to %d", s.Reading, minReading, maxReading)
	}
	return s, nil
}

const (
	// A day has so many of the intervals that a device beats at in the light. Half of it is night.
	dayBeats = 12
	// At night, and with a low battery, a device beats so many times less often.
	nightFactor, lowFactor = 2, 4
	lowBattery             = 20 // percent
	// Two intervals cost a percent of the battery.
	beatsPerPercent = 2
)

// plan is what device number n measures, and how far apart its beats are, so long after the
// simulation began, where every is how far apart they are in the light.
func plan(n int, since, every time.Duration) (s state, promise time.Duration) {
	intervals := float64(since) / float64(every)
	day := math.Mod(intervals/dayBeats, 1)
	full := 15 + n*31%86 // they were not all charged at the same time
	s.Battery = uint8(max(1, full-int(intervals/beatsPerPercent)))
	s.Reading = float32(15 + 8*math.Sin(2*math.Pi*day) + float64(n%10)/10)
	switch {
	case s.Battery < lowBattery:
		promise = lowFactor * every
	case day >= 0.5:
		promise = nightFactor * every
	default:
		promise = every
	}
	return s, promise
}
