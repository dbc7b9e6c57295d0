package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/input"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"Show how many members have which key."`
	Add    keysAddCmd    `cmd:"" help:"Give all members a key to decrypt with."`
	Use    keysUseCmd    `cmd:"" help:"Have all members encrypt with a key that all of them have."`
	Remove keysRemoveCmd `cmd:"" help:"Take a key that nobody encrypts with from all members."`
}

func (keysCmd) Help() string {
	return `A key is exchanged without a stop in three steps: add the new one, use it, remove the old one. Keys are shown by identifiers that do not give them away, and come from a file or from standard input, never from the command line, which others can see.

    pulsering keygen --out new.key
    pulsering keys add new.key
    pulsering keys use new.key
    pulsering keys remove old.key
    pulsering keys list
`
}

type keysListCmd struct {
	askedNode
	asJSON
}

func (keysListCmd) Help() string {
	return `Keys are shown by their identifiers. It takes the control socket, or the token.

    pulsering keys list
`
}

// keyArg is a file with one key, and the node to tell.
type keyArg struct {
	File text `arg:"" help:"File with the one key, as pulsering keygen prints it; - reads standard input."`
	askedNode
	asJSON
}

type keysAddCmd struct{ keyArg }

func (keysAddCmd) Help() string {
	return `The members decrypt with it from now on, and encrypt as before. It takes the control socket, or the token.

    pulsering keygen --out new.key
    pulsering keys add new.key
    vault read -field=key secret/ring | pulsering keys add -
`
}

type keysUseCmd struct{ keyArg }

func (keysUseCmd) Help() string {
	return `It is refused while a member lacks the key, which would be deaf to the others.

    pulsering keys use new.key
`
}

type keysRemoveCmd struct{ keyArg }

func (keysRemoveCmd) Help() string {
	return `It is refused while a member encrypts with the key.

    pulsering keys remove old.key
`
}

// keyRing is what /v1/keys answers.
type keyRing struct {
	Error string `json:"error"`
	Keys  []struct {
		ID    string `json:"id"`
		Have  int    `json:"have"`
		Using int    `json:"using"`
	} `json:"keys"`
	Members []struct {
		Member string   `json:"member"`
		Keys   []string `json:"keys"`
		Error  string   `json:"error"`
	} `json:"members"`
}

// Run shows who has which key.
func (c *keysListCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	var ring keyRing
	body, err := node.ask(ctx, "GET", "/v1/keys", nil, &ring)
	return showKeys(con, ring, body, c.JSON, err)
}

// Run adds the key everywhere.
func (c *keysAddCmd) Run(ctx context.Context, con console) error {
	return c.change(ctx, con, "add", "Add the key to each member's --key-file too, below the others: a member that restarts reads its keys there.")
}

// Run has everybody encrypt with the key.
func (c *keysUseCmd) Run(ctx context.Context, con console) error {
	return c.change(ctx, con, "use", "Move the key to the top of each member's --key-file too: a member that restarts encrypts with the first.")
}

// Run removes the key everywhere.
func (c *keysRemoveCmd) Run(ctx context.Context, con console) error {
	return c.change(ctx, con, "remove", "Take the key out of each member's --key-file too: a member that restarts reads its keys there.")
}

func (c *keyArg) change(ctx context.Context, con console, action, then string) error {
	key, err := awaited(ctx, func() ([]byte, error) { return c.key(con) })
	if err != nil {
		return err
	}
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	var ring keyRing
	body, err := node.ask(ctx, "POST", "/v1/keys", map[string]string{"action": action, "key": base64.StdEncoding.EncodeToString(key)}, &ring)
	if err := showKeys(con, ring, body, c.JSON, err); err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintf(con.out, "\n%s: done for key %s.\n%s\n", action, cluster.KeyID(key), then)
	}
	return nil
}

// key reads the one key.
func (c *keyArg) key(con console) ([]byte, error) {
	var keys [][]byte
	var err error
	from := printable(string(c.File))
	if c.File == "-" {
		from = "standard input"
		var said []byte
		if said, err = input.All(os.Stdin, from, longestKeys); err == nil {
			if keys, err = parseKeys(said); err != nil {
				err = fmt.Errorf("%s: %w", from, err)
			}
		}
	} else {
		var f keyFile
		f, err = readKeyFile(string(c.File), false)
		if keys = f.keys; f.exposed {
			fmt.Fprintf(con.err, "pulsering: warning: others may read %s: chmod 600 it\n", printable(f.path))
		}
	}
	if err != nil {
		if looksLikeKey(string(c.File)) && errors.Is(err, os.ErrNotExist) { // it is not to be shown again
			return nil, errors.New("this is no file, and may be the key itself, which others have seen by now: " +
				"make another one, and give it in a file, or on standard input with -")
		}
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("%s holds %d keys: want one alone", from, len(keys))
	}
	return keys[0], nil
}

func looksLikeKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(s)
	return err == nil && (len(key) == 16 || len(key) == 24 || len(key) == 32)
}

// showKeys prints who has which key, as far as that is known, and returns err.
func showKeys(con console, ring keyRing, body []byte, asJSON bool, err error) error {
	if asJSON && len(ring.Members) > 0 {
		con.out.Write(body)
		return err
	}
	if len(ring.Members) == 0 {
		return err
	}
	lines := keyTable(ring, con.outColor)
	if _, failed := fmt.Fprintln(con.out, strings.Join(lines, "\n")); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

func keyTable(ring keyRing, color bool) []string {
	all := len(ring.Members)
	rows := [][]cell{header("KEY", "HAVE IT", "ENCRYPT WITH IT")}
	for _, k := range ring.Keys {
		row := []cell{{text: printable(k.ID)}, {text: fmt.Sprintf("%d of %d", k.Have, all)}, {text: fmt.Sprintf("%d of %d", k.Using, all)}}
		if k.Have < all {
			row[1].paint = yellow
		}
		rows = append(rows, row)
	}
	lines := table(rows, color)
	if len(ring.Keys) == 0 {
		lines = []string{"No member has a key: the traffic is not encrypted. A cluster gets its first key by --key-file, at a restart of all."}
	}
	for _, m := range ring.Members {
		if m.Error != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", printable(m.Member), harmless(m.Error)))
			continue
		}
		var lacking []string
		for _, k := range ring.Keys {
			if !slices.Contains(m.Keys, k.ID) {
				lacking = append(lacking, printable(k.ID))
			}
		}
		if len(lacking) > 0 {
			lines = append(lines, fmt.Sprintf("%s lacks %s", printable(m.Member), strings.Join(lacking, ", ")))
		}
	}
	return lines
}
