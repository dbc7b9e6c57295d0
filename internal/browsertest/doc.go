// Package browsertest is a real browser for end-to-end tests of pages. It needs the build tag e2e.
package browsertest
