package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

func TestConfigDefaults(t *testing.T) {
	p, err := Config{}.prepare()
	if err != nil {
		t.Fatal(err)
	}
	if p.Name == "" || p.Bind != DefaultBind || p.Beat != DefaultBeat || p.StallAllowance != DefaultStallAllowance ||
		p.FalseAlarmEvery != DefaultFalseAlarmEvery || p.ForgetAfter != DefaultForgetAfter ||
		p.Observers != DefaultObservers || p.Heartbeats != Ring {
		t.Errorf("the zero Config became %+v", p.Config)
	}
}

// Each mistake gives an error that names the field, the value and the limit.
func TestConfigRefused(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Name: "two words"}, []string{"Name", `"two words"`, "no spaces"}},
		{Config{Name: "bell\a"}, []string{"Name", "printable"}},
		{Config{Name: strings.Repeat("x", 129)}, []string{"Name", "129", "1 to 128"}},
		{Config{Name: "\xff"}, []string{"Name", "UTF-8"}},
		{Config{Bind: "nonsense"}, []string{"Bind", `"nonsense"`, "ip:port"}},
		{Config{Bind: "localhost:1"}, []string{"Bind", `"localhost"`, "IP address"}},
		{Config{Bind: "127.0.0.1:65536"}, []string{"Bind", `"65536"`, "65535"}},
		{Config{Advertise: "0.0.0.0:7946"}, []string{"Advertise", "0.0.0.0", "reach"}},
		{Config{Seeds: []string{"10.0.0.1:7946", "10.0.0.2"}}, []string{"Seeds[1]", `"10.0.0.2"`, "host:port"}},
		{Config{Seeds: []string{":7946"}}, []string{"Seeds[0]", "no host"}},
		{Config{Seeds: []string{"a:0"}}, []string{"Seeds[0]", `"0"`, "1 to 65535"}},
		{Config{Beat: -1}, []string{"Beat", "-1ns", "5ms to 10s"}},
		{Config{Beat: time.Hour}, []string{"Beat", "1h0m0s", "5ms to 10s"}},
		{Config{StallAllowance: -time.Second}, []string{"StallAllowance", "-1s", "1ms to 1m0s"}},
		{Config{FalseAlarmEvery: time.Second}, []string{"FalseAlarmEvery", "1s", "1m0s to"}},
		{Config{ForgetAfter: time.Second}, []string{"ForgetAfter", "1s", "1m0s to"}},
		{Config{Observers: -1}, []string{"Observers", "-1", "2 to 64"}},
		{Config{Observers: 1000}, []string{"Observers", "1000", "2 to 64"}},
		{Config{Observers: 7}, []string{"Observers", "7", "even"}},
		{Config{Heartbeats: 9}, []string{"Heartbeats", "9", "Ring or Probes"}},
		{Config{Keys: [][]byte{make([]byte, 16), make([]byte, 15)}}, []string{"Keys[1]", "15", "16, 24 or 32"}},
		{Config{Label: strings.Repeat("x", 256)}, []string{"Label", "256", "255"}},
		{Config{Tags: map[string]string{"k": strings.Repeat("x", 600)}}, []string{"Tags", "605", "at most 486"}},
	} {
		if tt.cfg.Name == "" {
			tt.cfg.Name = "a"
		}
		_, err := tt.cfg.prepare()
		if err == nil {
			t.Errorf("%+v was accepted", tt.cfg)
			continue
		}
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%v is no ErrConfig", err)
		}
		for _, part := range append(tt.want, "cluster: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("one mistake, several errors: %q", err)
		}
	}
}

func TestConfigReportsEveryMistakeAtOnce(t *testing.T) {
	_, err := Config{Name: "a", Beat: -1, Observers: 1000, Seeds: []string{"x"}}.prepare()
	if err == nil {
		t.Fatal("accepted")
	}
	if got := strings.Count(err.Error(), "cluster: "); got != 3 {
		t.Errorf("%d mistakes reported, want 3: %v", got, err)
	}
}

// What prepare lets through for tags fits memberlist's metadata with any boot, and one byte more does not.
func TestTagsUpToTheLastByte(t *testing.T) {
	fits := 0
	for n := range 600 {
		_, err := Config{Name: "a", Tags: map[string]string{"k": strings.Repeat("x", n)}}.prepare()
		if err != nil {
			break
		}
		fits = n
	}
	buf, err := encodeMeta(meta{Boot: ^uint64(0), Tags: map[string]string{"k": strings.Repeat("x", fits)}})
	if err != nil || len(buf)+wire.SumSize != 512 {
		t.Errorf("the largest tag accepted makes %d bytes of metadata (%v), want 512", len(buf)+wire.SumSize, err)
	}
}
