package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// mostBody bounds what a client may send.
const mostBody = 16 << 10

// answer sends a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic(err) // all that is answered has JSON
	}
	answerJSON(w, status, b.Bytes())
}

func answerJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // an error is the client's going
}

// refusal is an answer that tells what is wrong.
type refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, refusal{fmt.Sprintf(format, args...)})
}

func refuseMethod(w http.ResponseWriter, r *http.Request, allowed []string) {
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	refuse(w, http.StatusMethodNotAllowed, "%.20q is not possible here: want %s", r.Method, strings.Join(allowed, " or "))
}

// body reads the JSON object of a request into v, or refuses it.
func body(w http.ResponseWriter, r *http.Request, v any, example string) bool {
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	err := in.Decode(v)
	if err == nil {
		if _, err = in.Token(); err == io.EOF {
			return true
		}
		err = errors.New("more follows behind the object")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		refuse(w, http.StatusRequestEntityTooLarge, "the body has more than %d bytes: want an object such as %s", large.Limit, example)
		return false
	}
	refuse(w, http.StatusBadRequest, "the body is not understood (%.200v): want an object such as %s", err, example)
	return false
}
