//go:build e2e && linux

package page_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/chromedp/chromedp/kb"
	"github.com/pulsering/pulsering/internal/browsertest"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
)

// heard is what a screen reader knows of the page: roles with names, and what is beside them.
type heard struct {
	role, name string
	properties map[string]string
}

func (b *browser) listen() []heard {
	b.T.Helper()
	nodes := browsertest.Within(b.Page, func() ([]*accessibility.Node, error) {
		return chromedp.Run(b.Context, func(ctx context.Context, target *chromedp.Target) ([]*accessibility.Node, error) {
			tree, err := cdp.Call(ctx, target, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
			return tree.Nodes, err
		})
	})
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	var all []heard
	for _, n := range nodes {
		if n.Ignored {
			continue
		}
		h := heard{text(n.Role), text(n.Name), map[string]string{}}
		for _, p := range n.Properties {
			h.properties[string(p.Name)] = text(p.Value)
		}
		all = append(all, h)
	}
	return all
}

// A screen reader is told of everything by words: what is a table, what can be pressed and what that did, and what the ring shows.
func TestScreenReader(t *testing.T) {
	node := newFake(twelve...)
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 1440, 900)
	b.until(says("#link", "Live") + ` && !document.querySelector("#link").innerText.includes("polling")`)
	node.tell(cluster.Down, "orders-3", cluster.ReasonSilent)
	b.until(says("#headline", "1 down of 12 members"))
	b.Do(chromedp.Click("button.count.is-down"), chromedp.Click("button.count.is-up"))
	b.until(says("#members-title", "12 members"))
	all := b.listen()
	for _, want := range []heard{
		{"heading", "1 down of 12 members", nil},
		{"heading", "Needs attention", nil},
		{"button", "1 down", map[string]string{"pressed": "true"}},
		{"button", "0 suspect", map[string]string{"pressed": "false"}},
		{"group", "Members by state; press to show only these", nil},
		{"table", "12 members", nil},
		{"columnheader", "State", nil},
		{"columnheader", "Tags", nil},
		{"cell", "down", nil},
		{"link", "orders-3", nil},
		{"cell", "orders-3 10.0.0.5:7946", nil},
		{"searchbox", "Filter by name, address, or tag such as zone=a", nil},
		{"image", "The ring of 12 members: 11 up, 1 down. The table says the same in words.", nil},
		{"list", "Events", nil},
		{"status", "", map[string]string{"live": "polite"}},
		{"button", "Hold", map[string]string{"pressed": "false"}},
		{"main", "", nil},
	} {
		found := false
		for _, h := range all {
			same := h.role == want.role && h.name == want.name
			for k, v := range want.properties {
				same = same && h.properties[k] == v
			}
			found = found || same
		}
		if !found {
			t.Errorf("there is no %s %q with %v", want.role, want.name, want.properties)
			for _, h := range all {
				if h.role == want.role {
					t.Logf("  but %s %q %v", h.role, h.name, h.properties)
				}
			}
		}
	}
	if sort := b.Eval(`document.querySelector("th.c-state").getAttribute("aria-sort")`); sort != "ascending" {
		t.Errorf("the table is sorted by state, and says %q", sort)
	}
	for _, h := range all {
		if h.properties["focusable"] == "true" && h.name == "" && h.role != "main" && h.role != "RootWebArea" {
			t.Errorf("a %s can have the focus and has no name: %v", h.role, h.properties)
		}
	}

	t.Log("a hundred changes are told in a few sentences")
	b.Eval(`window.told = [], new MutationObserver(() => told.push(document.querySelector("#announcer").textContent))
		.observe(document.querySelector("#announcer"), { childList: true })`)
	for i := range 100 {
		node.tell([]cluster.Kind{cluster.Down, cluster.Up}[i/11%2], twelve[1+i%11], cluster.ReasonSilent)
		time.Sleep(30 * time.Millisecond)
	}
	b.until(`told.some(text => /changes\. .* of 12 members/.test(text) || /changes\. All 12 members are up/.test(text))`)
	if n, err := strconv.Atoi(b.Eval("told.length")); err != nil || n > 3 {
		t.Errorf("%d announcements of 100 changes in 3 s, %v; want a few", n, err)
	}
}

func (b *browser) press(keys ...string) {
	b.T.Helper()
	for _, k := range keys {
		if k < " " || k > "~" { // a key with a name
			b.Do(chromedp.KeyEvent(k))
			continue
		}
		b.Do(call(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Text: k}), // which types it, unless the page takes it
			call(input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: k}))
	}
}

// Everything can be done by keys, what has the focus can be seen, and the focus is where one expects it.
func TestKeyboard(t *testing.T) {
	node := newFake(numbered(200)...)
	s := newSite(t, node, web.Options{})
	node.tell(cluster.Down, "node-150", cluster.ReasonSilent)
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#headline", "1 down of 200 members"))
	const focus = `(e => e.closest("tr")?.dataset.name ?? (e.id || e.innerText || e.className))(document.activeElement)`
	at := func(want string) {
		t.Helper()
		b.until(fmt.Sprintf("%s === %q", focus, want))
		outline := b.Eval(`(e => getComputedStyle(e).outlineStyle + " " + parseFloat(getComputedStyle(e).outlineWidth))(document.activeElement)`)
		if !strings.HasPrefix(outline, "solid ") || outline < "solid 2" {
			t.Errorf("%s has the focus, and its outline is %s: want one that can be seen", want, outline)
		}
	}
	t.Log("by Tab, from the top")
	order := []string{"Skip to the members", "Pulsering", "help-button"}
	for _, want := range order {
		b.press(kb.Tab)
		at(want)
	}
	b.press(kb.Tab) // the first count
	b.press(" ")    // pressed
	b.until(`document.querySelector("button.count.is-up").getAttribute("aria-pressed") === "true"`)
	b.press(" ")
	b.until(says("#members-title", "200 members"))

	t.Log("to a row that is not in the document yet")
	b.press("/")
	at("filter")
	b.press("n", "o", "d", "e")
	b.until(`document.querySelector("#filter").value === "node"`)
	b.press(kb.Enter)
	at("node-150") // down comes first
	for range 45 {
		b.press("j")
	}
	at("node-044")
	b.press("k", kb.ArrowDown, kb.ArrowUp)
	at("node-043")
	inSight := `(r => r.top >= 0 && r.bottom <= innerHeight)(document.activeElement.getBoundingClientRect())`
	b.until(inSight)

	t.Log("into a member and back")
	b.press(kb.Enter)
	b.until(says("#member", "node-043", "All members"))
	at("member-name")
	b.press(kb.Escape)
	at("node-043")
	b.until(inSight)
	b.press(kb.Escape)
	b.until(`document.querySelector("#filter").value === "" && location.hash === "#/"`)

	t.Log("the help, and single keys off")
	b.press("?")
	b.until(`document.querySelector("#help").open`)
	b.press(kb.Escape)
	b.until(`!document.querySelector("#help").open`)
	b.press("w")
	b.until(says("#members-title", "1 of 200 members"))
	b.press("w", "p")
	b.until(says("#feed-hold", "Held"))
	b.Eval(`document.querySelector("#help-button").click(), document.querySelector("#keys-on").click(), document.querySelector("#help-close").click()`)
	b.press("w")
	b.until(says("#members-title", "200 members"))
}

// Names, tags and reasons are shown, whatever they are, and never obeyed.
func TestHostileNames(t *testing.T) {
	hostile := []string{
		`<img src=x onerror="window.obeyed=1">`,
		`"><script>window.obeyed=1</script>`,
		"safe\u202egnp.exe", // reads from the right
		"two\nlines\x1b[31m",
		"zero\u200bwidth",
		strings.Repeat("x", 128),
		strings.Repeat("é", 64),
		"👩‍🚀🚀",
		"a/b?c#d%41&e",
		"..",
		" ",
		"__proto__", "constructor",
		"z̸̢͉̪͎̠̊̔a̷l",
		"\u3164", // a letter that looks like none
		`javascript:window.obeyed=1`,
	}
	node := newFake("a")
	for _, name := range hostile {
		node.add(cluster.Member{Name: name, Addr: "10.0.0.9:7946", State: cluster.StateUp, Observed: true, Tags: map[string]string{name: name, "zone": "<b>bold</b>"}})
	}
	s := newSite(t, node, web.Options{})
	b := launch(t, s.url(), 1280, 800)
	b.until(says("#members-title", fmt.Sprintf("%d members", len(hostile)+1)))
	for _, name := range hostile {
		node.tell(cluster.Down, name, name, func(m *fakeMember, e *cluster.Event) {
			m.exit, e.Detail, e.By = name, name, hostile[:8]
		})
	}
	b.until(says("#headline", fmt.Sprintf("%d down of %d members", len(hostile), len(hostile)+1)))
	rows := fmt.Sprintf("document.querySelectorAll(\"tbody tr[data-name]\").length === %d", len(hostile)+1)
	b.until(rows)
	for _, shown := range []string{
		`<img src=x onerror="window.obeyed=1">`, `safe\u{202e}gnp.exe`, `two\u{a}lines\u{1b}[31m`, `zero\u{200b}width`, "👩‍🚀🚀", `" "`, `\u{3164}`, "__proto__",
		"zone=<b>bold</b>", strings.Repeat("x", 128),
	} {
		b.until(fmt.Sprintf(`document.querySelector("#table").textContent.includes(%q)`, shown))
	}
	if odd := b.Eval(`/[\u202e\u200b\u001b\n]/.test(document.querySelector("#overview").textContent.replaceAll(/\s+(?=<)/g, "").replaceAll("\n", ""))`); odd == "true" {
		t.Error("a character that plays with the page is on it")
	}
	tall := b.Eval(`Math.max(...[...document.querySelectorAll("tbody tr[data-name]")].map(r => r.offsetHeight))`)
	if tall != "44" {
		t.Errorf("a row is %s pixels high, want 44", tall)
	}
	for _, name := range hostile {
		b.Eval(fmt.Sprintf(`document.querySelector("tr[data-name=" + CSS.escape(%q) + "] a")?.click() ?? (location.hash = "#/member/" + encodeURIComponent(%[1]q))`, name))
		want := "It told the others itself"
		if name == ".." {
			want = "cannot be asked about over HTTP" // it means something else in a path
		}
		b.until(says("#member", want))
		b.Eval(`location.hash = "#/"`)
		b.until(rows + ` && !document.querySelector("#overview").hidden`)
	}
	if b.Eval("window.obeyed") != "undefined" {
		t.Error("a name was obeyed")
	}
	if n := b.Eval(`document.querySelectorAll("img, b:not(.count b), script").length`); n != "2" { // the icon and app.js
		t.Errorf("%s elements that could be a name's, want the page's own two", n)
	}
	if where := b.Eval("location.pathname"); where != "/" {
		t.Errorf("the page is at %s now", where)
	}
}

// Events come in pieces, with ids; what is split anywhere is one all the same.
func TestStreamInPieces(t *testing.T) {
	s := newSite(t, newFake("a"), web.Options{})
	b := launch(t, s.url(), 1280, 800)
	const text = "retry: 1000\n\n:\n\nid: p-1\nevent: up\ndata: {\"kind\":\"up\",\"member\":\"ü\"}\n\nid: p-2\r\ndata: {\"kind\":\r\ndata:\"down\"}\r\n\r\nid: p-3\n\ndata\n: x\n\n"
	b.Eval(fmt.Sprintf(`import("/api.js").then(api => {
		const text = %q.replace("data\n: x\n\n", "");
		const sum = cut => {
			const seen = [];
			const feed = api.parser({ id: id => seen.push(id), event: e => seen.push(e.kind + (e.member ?? "")) });
			for (const piece of cut) feed(piece);
			return seen.join(" ");
		};
		window.sums = new Set([sum([text]), sum([...text])]);
		for (let i = 0; i < text.length; i++) sums.add(sum([text.slice(0, i), text.slice(i)]));
	})`, text))
	b.until(`window.sums?.size === 1`)
	if got, want := b.Eval("[...sums].join()"), "p-1 upü p-2 down p-3"; got != want {
		t.Errorf("read as %q, want %q", got, want)
	}
}
