package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxRedirects = 3
	maxHeader    = 64 << 10
	maxBody      = 512 // of a failure: a reason has maxReason bytes
)

// HTTP returns a checker that asks for a page: a status of 200 to 299 is well. It goes without a
// proxy, over a new connection each time, and follows up to three redirects on the same host. The
// reason of a failure is the status and how the body begins, or why there is none. The error names
// what is wrong with the URL.
func HTTP(page string) (Checker, error) {
	u, err := url.Parse(page)
	switch { // the URL is not shown: it may hold a password
	case err != nil:
		return nil, errors.New("is no URL: want such as http://127.0.0.1:8080/healthz")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want a URL that begins with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("names no host: want such as http://127.0.0.1:8080/healthz")
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true, // a small body may be a large one
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			switch {
			case len(before) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case next.URL.Host != before[0].URL.Host:
				return fmt.Errorf("redirected to another host: %s", next.URL.Host)
			}
			return nil
		},
	}
	return func(ctx context.Context) error {
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return err
		}
		ask.Header.Set("User-Agent", "pulsering-check")
		answer, err := client.Do(ask)
		if err != nil {
			return whyNot(ctx, err)
		}
		defer answer.Body.Close()
		if answer.StatusCode/100 == 2 {
			return nil
		}
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody)) // what has come will do
		if text := strings.TrimSpace(string(body)); text != "" {
			return fmt.Errorf("HTTP %d: %s", answer.StatusCode, text)
		}
		return fmt.Errorf("HTTP %d", answer.StatusCode)
	}, nil
}

// whyNot leaves out of an error what is the same each time: the URL, which may hold a password, and
// the address.
func whyNot(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		err = failed.Err
	}
	if errors.Is(err, io.EOF) {
		return errors.New("closed without an answer")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: "))
}
