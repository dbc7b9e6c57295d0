// A module of its own, so that the WebSocket libraries that are measured beside the package reach none of its users.
module github.com/pulsering/pulsering/detector/link/bench

go 1.26

require (
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/pulsering/pulsering v0.0.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/pulsering/pulsering => ../../..
