package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// state is what a player's beats carry: stateSize bytes of the 64 that are the application's own.
type state struct {
	Seq    uint32        // of the player's states, from 1 on
	At     time.Duration // by the player's own clock since it began
	X, Y   float32       // where it is, 0 to 1
	VX, VY float32       // per second, at most maxSpeed
}

const (
	stateSize = 4 + 8 + 4*4
	maxSpeed  = 1
	maxAt     = 100 * 365 * 24 * time.Hour
)

func (s state) encode() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, stateSize), s.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(s.At))
	for _, v := range []float32{s.X, s.Y, s.VX, s.VY} {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// decodeState checks what a player sends: whoever plays may have written the client.
func decodeState(b []byte) (state, error) {
	if len(b) != stateSize {
		return state{}, fmt.Errorf("a state of %d bytes, want %d", len(b), stateSize)
	}
	var v [4]float32
	for i := range v {
		v[i] = math.Float32frombits(binary.BigEndian.Uint32(b[12+4*i:]))
	}
	s := state{binary.BigEndian.Uint32(b), time.Duration(binary.BigEndian.Uint64(b[4:])), v[0], v[1], v[2], v[3]}
	in := func(v, low, high float32) bool { return v >= low && v <= high } // false for what is no number
	switch {
	case s.At < 0 || s.At > maxAt:
		return state{}, fmt.Errorf("a state at %v, want 0 to %v", s.At, maxAt)
	case !in(s.X, 0, 1) || !in(s.Y, 0, 1):
		return state{}, fmt.Errorf("a position of %v, %v, want 0 to 1", s.X, s.Y)
	case !in(s.VX, -maxSpeed, maxSpeed) || !in(s.VY, -maxSpeed, maxSpeed):
		return state{}, fmt.Errorf("a speed of %v, %v, want at most %v", s.VX, s.VY, maxSpeed)
	}
	return s, nil
}

// after is where a player is a while later, if it goes on as it did and turns at the walls.
func (s state) after(d time.Duration) state {
	s.At += d
	s.X, s.VX = bounce(s.X, s.VX, d)
	s.Y, s.VY = bounce(s.Y, s.VY, d)
	return s
}

func bounce(x, v float32, d time.Duration) (float32, float32) {
	// Walls at 0 and 1 make of a straight way a triangle wave of period 2.
	at := math.Mod(float64(x)+float64(v)*d.Seconds(), 2)
	if at < 0 {
		at += 2
	}
	if at > 1 {
		return float32(2 - at), -v
	}
	return float32(at), v
}
