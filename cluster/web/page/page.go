// Package page is the dashboard of a node: files for a browser, which ask the node for the rest.
package page

import "embed"

// Files are those that a node serves beside its API; index.html is at "/".
//
//go:embed index.html
var Files embed.FS
