package main

import "testing"

func TestHangups(t *testing.T) {
	h := newHangups()
	h.terminal = false
	if !h.ends() {
		t.Error("a SIGHUP goes on without anything to reload")
	}
	asked := h.reload()
	for range 3 {
		if h.ends() {
			t.Error("a SIGHUP ends what has something to reload")
		}
	}
	<-asked
	select {
	case <-asked:
		t.Error("three signals before a reload are more than one wish")
	default:
	}
	if onTerminal() {
		h.terminal = true
		if h.ends() {
			t.Error("a SIGHUP ends what has its terminal")
		}
	} else if h.terminal = true; !h.ends() {
		t.Error("a SIGHUP does not end what has lost its terminal")
	}
	if (*hangups)(nil).reload() != nil {
		t.Error("without signals there is something to wait for")
	}
}
