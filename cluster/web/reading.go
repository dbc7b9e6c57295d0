package web

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/record"
)

func (d *door) serveSelf(w http.ResponseWriter, _ *http.Request, j *joined) {
	m := j.view.members()
	answer(w, http.StatusOK, m.all[m.self])
}

func (d *door) serveMembers(w http.ResponseWriter, r *http.Request, j *joined) {
	m := j.view.members()
	each, body := m.encoded()
	if r.URL.RawQuery != "" {
		wanted, err := newFilter(r.URL.Query())
		if err != nil {
			refuse(w, http.StatusBadRequest, "%v", err)
			return
		}
		var chosen [][]byte
		for i, one := range m.all {
			if wanted.has(one.Member) {
				chosen = append(chosen, each[i])
			}
		}
		body = jsonArray(chosen)
	}
	answerJSON(w, http.StatusOK, body)
}

// filter chooses members.
type filter struct {
	states []cluster.State // any of these; none: any at all
	tags   [][2]string     // all of these
}

func newFilter(query map[string][]string) (filter, error) {
	var f filter
	for _, list := range query["state"] {
		for name := range strings.SplitSeq(list, ",") {
			var s cluster.State
			if s.UnmarshalText([]byte(name)) != nil || s == cluster.StateUnknown {
				return f, fmt.Errorf("state: %.40q is no state: want up, suspect, down or left, several with commas", name)
			}
			f.states = append(f.states, s)
		}
	}
	for _, tag := range query["tag"] {
		key, value, ok := strings.Cut(tag, "=")
		if !ok || key == "" {
			return f, fmt.Errorf("tag: %.100q is no tag: want KEY=VALUE, such as zone=a", tag)
		}
		f.tags = append(f.tags, [2]string{key, value})
	}
	return f, nil
}

func (f filter) has(m cluster.Member) bool {
	if len(f.states) > 0 && !slices.Contains(f.states, m.State) {
		return false
	}
	return !slices.ContainsFunc(f.tags, func(tag [2]string) bool {
		value, ok := m.Tags[tag[0]]
		return !ok || value != tag[1]
	})
}

func (d *door) serveMember(w http.ResponseWriter, r *http.Request, j *joined) {
	name := r.PathValue("name")
	why, ok := j.Explain(name)
	if !ok {
		refuseName(w, name)
		return
	}
	line, err := json.Marshal(record.Explanation{Explanation: why, History: j.history.of(name)})
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%v", err)
		return
	}
	answerJSON(w, http.StatusOK, append(line, '\n'))
}

func refuseName(w http.ResponseWriter, name string) {
	refuse(w, http.StatusNotFound, "no member %.130q is known here: see /v1/members for those that are", name)
}

func (d *door) serveStats(w http.ResponseWriter, _ *http.Request, j *joined) {
	answer(w, http.StatusOK, record.NewStats(j.Stats()))
}

func (d *door) serveMetrics(w http.ResponseWriter, r *http.Request, _ *joined) {
	if d.opts.Metrics == nil {
		refuse(w, http.StatusNotFound, "this node has no metrics")
		return
	}
	d.opts.Metrics.ServeHTTP(w, r)
}

//go:embed openapi.json
var openAPI []byte

func (d *door) serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ *joined) {
	answerJSON(w, http.StatusOK, openAPI)
}
