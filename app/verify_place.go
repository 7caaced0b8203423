package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
)

const (
	defaultPlace = "sluice-verify.json" // where an interrupted verification leaves its place
	saveEvery    = time.Second
)

// placeDocument is the file in which a verification keeps its place.
type placeDocument struct {
	Format   int         `json:"sluice_verify"`
	Database string      `json:"database"`
	Tenant   string      `json:"tenant"`
	Since    db.Time     `json:"since"`
	State    audit.State `json:"state"`
}

// place is the file and what stands in it.
type place struct {
	path  string // empty: none was named
	db    *db.DB
	doc   placeDocument
	saved time.Time
	fault error // of the first save that failed
}

func newPlace(path string, d *db.DB) *place {
	return &place{path: path, db: d, saved: d.Now(), doc: placeDocument{Format: 1, Database: redacted(d.URL())}}
}

// load reads the place of an earlier verification of the same sort, whose --since it takes over.
func (p *place) load(ctx context.Context, o *audit.Options) (audit.State, error) {
	p.doc.Tenant, p.doc.Since = db.TenantOf(ctx), o.Since
	if p.path == "" {
		return audit.State{}, nil
	}
	raw, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return audit.State{}, nil
	}
	if err != nil {
		return audit.State{}, fileError(err)
	}
	var found placeDocument
	hint := "remove the file to begin anew, or name another"
	if err := json.Unmarshal(raw, &found); err != nil || found.Format != p.doc.Format {
		return audit.State{}, withHint(usagef("%s is no file of an interrupted verification", p.path), hint)
	}
	if found.Database != p.doc.Database || found.Tenant != p.doc.Tenant || !o.Since.IsZero() && found.Since.IsZero() {
		return audit.State{}, withHint(usagef("%s is of another verification: of tenant %s of %s", p.path, found.Tenant, found.Database), hint)
	}
	p.doc, o.Since = found, found.Since
	return found.State, nil
}

// keep takes the state, and writes it now and then.
func (p *place) keep(s audit.State) {
	p.doc.State = s
	if now := p.db.Now(); p.path != "" && p.fault == nil && now.Sub(p.saved) >= saveEvery {
		p.saved = now
		p.fault = p.write(p.path)
	}
}

// save writes the last state, to a file of its own name if none was given, and gives its path; empty if there is none yet.
func (p *place) save() (string, error) {
	if p.fault != nil || p.doc.State.After.IsZero() {
		return "", p.fault
	}
	path := p.path
	if path == "" {
		path = defaultPlace
	}
	return path, p.write(path)
}

// write replaces the file at once, so that a crash leaves the old one or the new one.
func (p *place) write(path string) error {
	raw, err := json.Marshal(p.doc)
	if err != nil {
		return fmt.Errorf("encode the place of the verification: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return fileError(err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fileError(err), os.Remove(f.Name()))
	}
	return nil
}

// remove takes the file away: the verification has come to its end.
func (p *place) remove() error {
	if p.fault != nil {
		return p.fault
	}
	if p.path == "" {
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(err)
	}
	return nil
}
