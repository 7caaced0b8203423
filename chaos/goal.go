package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// FullSize returns the goal that the report claims without a breach. scale makes it smaller.
func FullSize(scale float64) Config {
	c := Config{
		Workers: 4, Slots: 16, Lease: time.Second, Open: 40, Poison: 300, Transitions: int(1_000_000 * scale),
		Refused: int(1000 * scale),
		Strikes: map[string]int{
			"kill": 1000, "graceful stop": 100, "zombie": 120, "immediate stop": 200, "backend terminated": 200,
			"link cut before COMMIT": 100, "link cut after COMMIT": 100,
			ReadOnly: 50, Exhausted: 50,
		},
	}
	for name, n := range c.Strikes {
		c.Strikes[name] = max(1, int(float64(n)*scale))
	}
	return c
}

// ForgetfulSize returns the goal for a server that forgets commits that it has answered.
func ForgetfulSize(scale float64) Config {
	return Config{
		Workers: 4, Slots: 16, Lease: time.Second, Open: 40, Forgets: true,
		Strikes: map[string]int{
			Crash: max(1, int(100*scale)), Failover: max(1, int(20*scale)),
			Restore: max(1, int(20*scale)),
		},
	}
}

// Names returns the names of the faults, sorted.
func (c Config) Names() []string { return slices.Sorted(maps.Keys(c.Strikes)) }

// Only returns the configuration with only the named faults, which are separated by commas. An empty list keeps all.
func (c Config) Only(list string) Config {
	if list == "" {
		return c
	}
	names := strings.Split(list, ",")
	c.Strikes = maps.Clone(c.Strikes)
	maps.DeleteFunc(c.Strikes, func(name string, _ int) bool { return !slices.Contains(names, name) })
	return c
}

// Share returns one round's part of what is still missing.
func (c Config) Share(done Report, rounds int) Config {
	part := func(goal, done int) int { return (max(0, goal-done) + rounds - 1) / rounds }
	c.Transitions, c.Refused = part(c.Transitions, done.Transitions), part(c.Refused, done.Refused)
	strikes := map[string]int{}
	for name, n := range c.Strikes {
		strikes[name] = part(n, done.Strikes[name])
	}
	c.Strikes = strikes
	return c
}

// Load reads a report that Store wrote. If the path is empty or there is no file, it returns an empty report.
func Load(path string) (r Report, err error) {
	doc, err := os.ReadFile(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(doc, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Store writes a report. If the path is empty, it does nothing.
func (r Report) Store(path string) error {
	if path == "" {
		return nil
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, doc, 0o600)
}
