// Package boundary holds tests of what may import what, so that whoever embeds the core builds no more than the core. It has no code.
package boundary
