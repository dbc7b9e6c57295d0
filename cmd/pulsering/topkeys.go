package main

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// key does what a key asks for.
func (m topModel) key(msg tea.KeyPressMsg) (topModel, tea.Cmd) {
	key := msg.String()
	switch {
	case key == "ctrl+c":
		return m, tea.Quit
	case key == "ctrl+z":
		return m, tea.Suspend
	case m.typing:
		m.type_(key, msg.Text)
		return m, nil
	case key == "q":
		return m, tea.Quit
	case m.help:
		m.help = false // any other key
		return m, nil
	case key == "?" || key == "h":
		m.help = true
	case key == "p" || key == "space":
		if m.frozen == nil {
			now := m.live
			m.frozen = &now
		} else {
			m.frozen = nil
		}
	case m.detail != "":
		m.keyInDetail(key)
	case key == "s":
		m.sort = (m.sort + 1) % topSorts
	case key == "r":
		m.reverse = !m.reverse
	case key == "/":
		m.typing = true
	case key == "esc":
		m.filter = ""
	case key == "enter":
		if m.detail = m.chosen(); m.detail != "" {
			m.explained, m.detailFirst = explainedMember{}, 0
			return m, m.explain()
		}
	default:
		m.move(key)
	}
	return m, nil
}

// type_ edits the filter.
func (m *topModel) type_(key, text string) {
	switch key {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	case "ctrl+u":
		m.filter = ""
	default:
		m.filter = typed(m.filter, text)
	}
}

// typed appends what may stand in a filter.
func typed(filter, text string) string {
	const longest = 100
	r := []rune(filter + strings.Map(func(r rune) rune {
		if harmless(string(r)) != string(r) {
			return -1
		}
		return r
	}, text))
	return string(r[:min(len(r), longest)])
}

// keyInDetail scrolls the explanation.
func (m *topModel) keyInDetail(key string) {
	page := max(1, m.height-4)
	switch key {
	case "esc", "enter", "backspace", "left":
		m.detail = ""
	case "up", "k":
		m.detailFirst--
	case "down", "j":
		m.detailFirst++
	case "pgup":
		m.detailFirst -= page
	case "pgdown":
		m.detailFirst += page
	case "home", "g":
		m.detailFirst = 0
	case "end", "G":
		m.detailFirst = 1 << 20
	}
	m.detailFirst = max(0, min(m.detailFirst, len(m.detailLines())-page))
}

// move chooses another member, and scrolls to it.
func (m *topModel) move(key string) {
	rows := m.rows()
	if len(rows) == 0 {
		return
	}
	at := max(0, slices.IndexFunc(rows, func(o memberLine) bool { return o.Name == m.cursor }))
	if m.cursor == "" && (key == "down" || key == "j") {
		at = -1 // the first key chooses the first
	}
	page := max(1, m.room().members)
	switch key {
	case "up", "k":
		at--
	case "down", "j":
		at++
	case "pgup":
		at -= page
	case "pgdown":
		at += page
	case "home", "g":
		at = 0
	case "end", "G":
		at = len(rows) - 1
	default:
		return
	}
	at = max(0, min(at, len(rows)-1))
	m.cursor = rows[at].Name
	if m.first > at {
		m.first = at
	} else if m.first < at-page+1 {
		m.first = at - page + 1
	}
}
