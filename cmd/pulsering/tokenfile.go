package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulsering/pulsering/cluster/web"
	"github.com/pulsering/pulsering/internal/input"
)

// A token file holds the one token that requests over HTTP have to bring. Errors tell its length, never what it is.

const longestToken = 1024 // characters

type tokenFile struct{ path, token string }

func readTokenFile(path string, again bool) (tokenFile, error) {
	text, info, err := input.File(path, 2*longestToken, again) // what is a little too long, has an error of its own
	if err != nil {
		return tokenFile{}, err
	}
	token := strings.TrimRight(string(text), "\r\n")
	errs := []error{tokenError(token), exposedError(path, info)}
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("%s: %w", path, err)
		}
	}
	return tokenFile{path, token}, errors.Join(errs...)
}

func tokenError(token string) error {
	switch {
	case len(token) < web.ShortestToken:
		return fmt.Errorf("the token is %d characters long: want at least %d, as \"openssl rand -hex 32\" prints them",
			len(token), web.ShortestToken)
	case len(token) > longestToken:
		return fmt.Errorf("is longer than %d characters: want one token", longestToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return fmt.Errorf("character %d is a space, no ASCII or not printable: want one token in one line", i+1)
		}
	}
	return nil
}
