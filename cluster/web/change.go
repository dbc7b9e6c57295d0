package web

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// orderTime is how long a change may take: the ten seconds that the members have to answer, and some for it to begin.
const orderTime = 12 * time.Second

// ordered prepares a change that goes on when the client goes: half of it would be worse. It waits as long again where there are too
// many; false: it was refused.
func (d *door) ordered(w http.ResponseWriter, r *http.Request) (ctx context.Context, done func(), ok bool) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2*orderTime + readPatience))
	wait := time.NewTimer(orderTime)
	defer wait.Stop()
	select {
	case d.orders <- struct{}{}:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), orderTime)
		return ctx, func() { <-d.orders; cancel() }, true
	case <-wait.C:
	case <-r.Context().Done():
	}
	w.Header().Set("Retry-After", "10")
	refuse(w, http.StatusServiceUnavailable, "%d changes are under way already, and no more may be: ask later", cap(d.orders))
	return nil, nil, false
}

// by is who asks, for the log.
func (d *door) by(r *http.Request) string {
	if d.control {
		return "the control socket"
	}
	return "HTTP from " + r.RemoteAddr
}

// refuseError answers with the error of a node.
func refuseError(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	switch {
	case errors.Is(err, cluster.ErrNoMember):
		status = http.StatusNotFound
	case errors.Is(err, cluster.ErrConfig):
		status = http.StatusBadRequest
	case errors.Is(err, cluster.ErrClosed):
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	answer(w, status, refusal{bareError(err)})
}

// bareError is an error without the names of the package and its functions.
func bareError(err error) string {
	return strings.ReplaceAll(err.Error(), "cluster: ", "")
}

type done struct {
	Status string `json:"status"`
}

func (d *door) serveLeave(w http.ResponseWriter, r *http.Request, j *joined) {
	ctx, finish, ok := d.ordered(w, r)
	if !ok {
		return
	}
	defer finish()
	d.log.Info("told to leave", "by", d.by(r))
	d.leaving.Store(true)
	if err := j.Leave(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) { // the goodbye is sent all the same
		d.leaving.Store(false)
		refuseError(w, err)
		return
	}
	j.view.changed()
	if d.opts.Left != nil {
		d.opts.Left()
	}
	answer(w, http.StatusOK, done{"left"})
}

func (d *door) serveForget(w http.ResponseWriter, r *http.Request, j *joined) {
	ctx, finish, ok := d.ordered(w, r)
	if !ok {
		return
	}
	defer finish()
	name := r.PathValue("name")
	err := j.Forget(ctx, name)
	j.view.changed()
	if err != nil {
		refuseError(w, err)
		return
	}
	d.log.Info("member forgotten", "member", name, "by", d.by(r))
	answer(w, http.StatusOK, done{"forgotten"})
}

func (d *door) servePing(w http.ResponseWriter, r *http.Request, j *joined) {
	name := r.PathValue("name")
	rtt, err := j.Ping(r.Context(), name)
	switch {
	case errors.Is(err, cluster.ErrNoMember), errors.Is(err, cluster.ErrClosed):
		refuseError(w, err)
	case err != nil:
		refuse(w, http.StatusGatewayTimeout, "%s", bareError(err))
	default:
		answer(w, http.StatusOK, struct {
			Member string  `json:"member"`
			RTT    float64 `json:"rtt_ms"`
		}{name, float64(rtt) / float64(time.Millisecond)})
	}
}

type (
	// keyRing is what GET and POST /v1/keys answer.
	keyRing struct {
		Error   string      `json:"error,omitempty"`
		Keys    []keyCount  `json:"keys"`
		Members []keyHolder `json:"members"`
	}
	// keyCount is how many members have a key, and how many encrypt with it.
	keyCount struct {
		ID    string `json:"id"`
		Have  int    `json:"have"`
		Using int    `json:"using"`
	}
	// keyHolder is the keys of one member, the one that it encrypts with first.
	keyHolder struct {
		Member string   `json:"member"`
		Keys   []string `json:"keys"`
		Error  string   `json:"error,omitempty"`
	}
)

func newKeyRing(answers []cluster.Answer) keyRing {
	ring := keyRing{Keys: []keyCount{}, Members: []keyHolder{}}
	for _, a := range answers {
		holder := keyHolder{Member: a.Member, Keys: append([]string{}, a.Keys...)}
		if a.Err != nil {
			holder.Error = bareError(a.Err)
		}
		ring.Members = append(ring.Members, holder)
		for i, id := range a.Keys {
			at := slices.IndexFunc(ring.Keys, func(k keyCount) bool { return k.ID == id })
			if at < 0 {
				at = len(ring.Keys)
				ring.Keys = append(ring.Keys, keyCount{ID: id})
			}
			ring.Keys[at].Have++
			if i == 0 {
				ring.Keys[at].Using++
			}
		}
	}
	slices.SortFunc(ring.Keys, func(a, b keyCount) int { return strings.Compare(a.ID, b.ID) })
	return ring
}

func (d *door) serveKeys(w http.ResponseWriter, r *http.Request, j *joined) {
	ctx, finish, ok := d.ordered(w, r)
	if !ok {
		return
	}
	defer finish()
	d.answerKeys(w, j.Keys, ctx)
}

func (d *door) answerKeys(w http.ResponseWriter, ask func(context.Context) ([]cluster.Answer, error), ctx context.Context) {
	answers, err := ask(ctx)
	if err != nil && len(answers) == 0 {
		refuseError(w, err)
		return
	}
	ring, status := newKeyRing(answers), http.StatusOK
	if err != nil {
		ring.Error, status = bareError(err), http.StatusConflict
	}
	answer(w, status, ring)
}

func (d *door) changeKeys(w http.ResponseWriter, r *http.Request, j *joined) {
	const example = `{"action":"add","key":"BASE64"}`
	var want struct{ Action, Key string }
	if !body(w, r, &want, example) {
		return
	}
	change, ok := map[string]func(context.Context, []byte) ([]cluster.Answer, error){
		"add": j.AddKey, "use": j.UseKey, "remove": j.RemoveKey,
	}[want.Action]
	if !ok {
		refuse(w, http.StatusBadRequest, "action: %.40q is none: want add, use or remove", want.Action)
		return
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(want.Key))
	if err != nil || len(key) != 16 && len(key) != 24 && len(key) != 32 { // the key itself is not to be shown
		refuse(w, http.StatusBadRequest, "key: %d characters that are no key: want base64 of 16, 24 or 32 bytes, as \"pulsering keygen\" prints it", len(want.Key))
		return
	}
	ctx, finish, ok := d.ordered(w, r)
	if !ok {
		return
	}
	defer finish()
	d.log.Info("told to change keys", "action", want.Action, "key", cluster.KeyID(key), "by", d.by(r))
	d.answerKeys(w, func(ctx context.Context) ([]cluster.Answer, error) { return change(ctx, key) }, ctx)
}

var logLevels = []string{"trace", "debug", "info", "warn", "error", "off"}

type logLevel struct {
	Level string `json:"level"`
}

func (d *door) serveLogLevel(w http.ResponseWriter, _ *http.Request, _ *joined) {
	if d.opts.Logger == nil {
		refuse(w, http.StatusNotFound, "this node has no log")
		return
	}
	level := d.log.GetLevel()
	if level == hclog.NoLevel { // of a logger that has none to set
		level = hclog.Off
	}
	answer(w, http.StatusOK, logLevel{level.String()})
}

func (d *door) changeLogLevel(w http.ResponseWriter, r *http.Request, j *joined) {
	if d.opts.Logger == nil {
		d.serveLogLevel(w, r, j)
		return
	}
	var want logLevel
	if !body(w, r, &want, `{"level":"debug"}`) {
		return
	}
	if !slices.Contains(logLevels, want.Level) {
		refuse(w, http.StatusBadRequest, "level: %.40q is none: want %s", want.Level, strings.Join(logLevels, ", "))
		return
	}
	before := d.log.GetLevel()
	d.log.SetLevel(hclog.LevelFromString(want.Level))
	d.log.Info("log level changed", "from", before, "to", want.Level, "by", d.by(r))
	answer(w, http.StatusOK, want)
}
