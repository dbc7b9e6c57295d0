// A module of its own, without code, so that what was measured is not part of what users of the library download.
module github.com/pulsering/pulsering/docs/results

go 1.25.0
