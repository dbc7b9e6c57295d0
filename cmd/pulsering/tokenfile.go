package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pulsering/pulsering/cluster/web"
)

// A token file holds the one token that requests over HTTP have to bring. Errors tell its length, never what it is.

const longestToken = 1024 // characters

type tokenFile struct{ path, token string }

func readTokenFile(path string) (tokenFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return tokenFile{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tokenFile{}, err
	}
	if info.IsDir() {
		return tokenFile{}, fmt.Errorf("%s is a directory: give a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, longestToken+3)) // and a line break, and one too many
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
