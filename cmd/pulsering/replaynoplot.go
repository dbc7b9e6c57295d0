//go:build noplot

package main

import "errors"

func (c *curve) save(string, float64) error {
	return errors.New("this binary was built without pictures (-tags noplot): leave it out, or use one with them")
}
