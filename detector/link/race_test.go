//go:build race

package link_test

// raceDetector tells whether the race detector runs. Goroutines cost it a hundred times more.
const raceDetector = true
