package web

import (
	"net/http"
	"strings"

	"github.com/pulsering/pulsering/cluster"
)

// check is one condition of a node's life or readiness.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"`
}

// health is what /livez and /readyz answer.
type health struct {
	Status string  `json:"status"`          // "ok", or the name of what fails
	Error  string  `json:"error,omitempty"` // and why
	Checks []check `json:"checks,omitempty"`
}

const (
	joiningText  = "still joining: ask again"
	isolatedText = "isolated: this node runs and hears none of the others"
	leavingText  = "leaving: this node has said goodbye, or is about to"
)

// serveLive tells whether the process should go on. A node that is isolated works, and a supervisor that ends it would only do harm.
func (d *door) serveLive(w http.ResponseWriter, r *http.Request, j *joined) {
	d.serveHealth(w, r, ended(j))
}

// serveReady tells whether the node knows what it is asked about.
func (d *door) serveReady(w http.ResponseWriter, r *http.Request, j *joined) {
	if j == nil {
		w.Header().Set("Retry-After", "1")
		d.serveHealth(w, r, ended(j), check{"joining", false, joiningText})
		return
	}
	isolated, leaving := check{"isolated", true, ""}, check{"leaving", true, ""}
	if j.Isolated() {
		isolated = check{"isolated", false, isolatedText}
	}
	if s := j.Self().State; d.leaving.Load() || s == cluster.StateLeft || s == cluster.StateDown {
		leaving = check{"leaving", false, leavingText}
	}
	d.serveHealth(w, r, ended(j), check{"joining", true, ""}, leaving, isolated)
}

func ended(j *joined) check {
	if j != nil {
		if err := j.Err(); err != nil {
			return check{"ended", false, "the node has ended: " + strings.TrimPrefix(err.Error(), "cluster: ")}
		}
	}
	return check{"ended", true, ""}
}

func (d *door) serveHealth(w http.ResponseWriter, r *http.Request, checks ...check) {
	h, status := health{Status: "ok"}, http.StatusOK
	for _, c := range checks {
		if !c.OK {
			h.Status, h.Error, status = c.Name, c.Why, http.StatusServiceUnavailable
			break
		}
	}
	if r.URL.Query().Has("verbose") {
		h.Checks = checks
	}
	answer(w, status, h)
}
