package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Health is what a member says of the service that it runs beside. It is no part of liveness: a member whose service is
// wedged goes on beating, and is up.
type Health uint8

const (
	// HealthUnknown: the member says nothing of it.
	HealthUnknown Health = iota
	// HealthPassing: the service passes its checks.
	HealthPassing
	// HealthWedged: the process is there, and its service fails its checks.
	HealthWedged
)

var healthNames = [...]string{"", "passing", "wedged"}

// String returns "", "passing" or "wedged".
func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return fmt.Sprintf("Health(%d)", h)
}

// MarshalText implements encoding.TextMarshaler: String's names.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler for String's names.
func (h *Health) UnmarshalText(text []byte) error {
	i := slices.Index(healthNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("cluster: %.40q is no health: want %s", text, strings.Join(healthNames[1:], ", "))
	}
	*h = Health(i)
	return nil
}

// SetHealth tells the others how this node's service is; they see it as Updated (ReasonHealth) within about a second. It does
// not wait for them. After Leave and Fail it is an error, as nobody would see it; after Close: ErrClosed.
func (n *Node) SetHealth(ctx context.Context, h Health) error {
	if h > HealthWedged {
		return refused{fmt.Errorf("cluster: Health: %v is unknown: want HealthUnknown, HealthPassing or HealthWedged", h)}
	}
	return n.announce(ctx, "SetHealth", func(c *core) { c.health = h })
}

// announce changes what this node says of itself in memberlist's metadata.
func (n *Node) announce(ctx context.Context, what string, change func(*core)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cluster: %s: %w", what, err)
	}
	n.mu.Lock()
	if n.gone {
		n.mu.Unlock()
		return ErrClosed
	}
	if n.core.left {
		n.mu.Unlock()
		return fmt.Errorf("cluster: %s: this node has left", what)
	}
	change(n.core)
	n.core.out.meta = true
	n.perform()
	return nil
}
