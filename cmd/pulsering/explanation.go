package main

import (
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// explanation is what GET /v1/members/{name} answers.
type explanation struct {
	Member         cluster.Member `json:"member"`
	Threshold      level.Phi      `json:"threshold"`
	StallThreshold level.Phi      `json:"stall_threshold"`
	Observers      []string       `json:"observers"`
	LastAlive      time.Time      `json:"last_alive"`
	Excused        time.Time      `json:"excused_until"`
	Path           *pathLine      `json:"path"`
	Inquiry        *inquiryLine   `json:"inquiry"`
	Verdict        *verdictLine   `json:"verdict"`
	History        []sample       `json:"phi_history"`
}

type pathLine struct {
	Interval      float64   `json:"interval_ms"`
	Mean          float64   `json:"mean_ms"`
	Deviation     float64   `json:"deviation_ms"`
	Loss          float64   `json:"loss"`
	Heartbeats    uint64    `json:"heartbeats"`
	Lost          uint64    `json:"lost"`
	LastHeartbeat time.Time `json:"last_heartbeat"`
	Overdue       time.Time `json:"overdue"`
	Reaches       time.Time `json:"reaches_threshold"`
}

type inquiryLine struct {
	Since       time.Time `json:"since"`
	Asked       int       `json:"asked"`
	Unanswered  int       `json:"unanswered"`
	Doubts      []doubt   `json:"doubts"`
	Phi         level.Phi `json:"phi"`
	BeforeStall level.Phi `json:"before_stall"`
}

type doubt struct {
	By          string    `json:"by"`
	Phi         level.Phi `json:"phi"`
	BeforeStall level.Phi `json:"before_stall"`
}

type verdictLine struct {
	Phi       level.Phi `json:"phi"`
	Threshold level.Phi `json:"threshold"`
	By        []string  `json:"by"`
	Exit      string    `json:"exit"`
}

// sample is φ at a time.
type sample struct {
	Time time.Time `json:"time"`
	Phi  level.Phi `json:"phi"`
}
