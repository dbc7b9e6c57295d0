package link

import "time"

// ComebackWait is a client's decision when to try again, for simulations.
func ComebackWait(
	tries int, told, grace time.Duration, refused bool, random func(time.Duration) time.Duration,
) time.Duration {
	return comeback{tries: tries, told: told, grace: grace, refused: refused}.wait(random)
}

// Spread is within what time the clients of a server that closes are told to come back.
func Spread(grace time.Duration) time.Duration { return spread(grace) }
