package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/redact"
)

const (
	defaultCheckpointPath = "sluice-verify.json" // where an interrupted verification saves its position
	saveEvery             = time.Second
)

// checkpointDocument is the file in which a verification saves its position.
type checkpointDocument struct {
	Format   int         `json:"sluice_verify"`
	Database string      `json:"database"`
	Tenant   string      `json:"tenant"`
	Since    dbtype.Time `json:"since"`
	State    audit.State `json:"state"`
}

// checkpoint is the file and its content.
type checkpoint struct {
	path  string // empty: none was given
	db    *db.DB
	doc   checkpointDocument
	saved time.Time
	fault error // of the first save that failed
}

func newCheckpoint(path string, d *db.DB) *checkpoint {
	return &checkpoint{
		path: path, db: d, saved: d.Now(),
		doc: checkpointDocument{Format: 2, Database: redact.Database(d.URL())},
	}
}

// load reads the position of an earlier verification of the same kind, and uses its --since.
func (p *checkpoint) load(ctx context.Context, o *audit.Options) (audit.State, error) {
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
	var found checkpointDocument
	hint := "remove the file to begin anew, or name another"
	if err := json.Unmarshal(raw, &found); err != nil || found.Format != p.doc.Format {
		return audit.State{}, withHint(usagef("%s is no file of an interrupted verification", p.path), hint)
	}
	if found.Database != p.doc.Database || found.Tenant != p.doc.Tenant || !o.Since.IsZero() && found.Since.IsZero() {
		return audit.State{}, withHint(usagef("%s is of another verification: of tenant %s of %s", p.path, found.Tenant,
			found.Database), hint)
	}
	p.doc, o.Since = found, found.Since
	return found.State, nil
}

// store stores the state, and writes it from time to time.
func (p *checkpoint) store(s audit.State) {
	p.doc.State = s
	if now := p.db.Now(); p.path != "" && p.fault == nil && now.Sub(p.saved) >= saveEvery {
		p.saved = now
		p.fault = p.write(p.path)
	}
}

// save writes the last state and returns its path, which is defaultCheckpointPath if none was given. It returns "" if
// there is no state yet.
func (p *checkpoint) save() (string, error) {
	if p.fault != nil || p.doc.State.After.IsZero() {
		return "", p.fault
	}
	path := p.path
	if path == "" {
		path = defaultCheckpointPath
	}
	return path, p.write(path)
}

func (p *checkpoint) write(path string) error {
	raw, err := json.Marshal(p.doc)
	if err != nil {
		return fmt.Errorf("encode the place of the verification: %w", err)
	}
	return toFile(path, nil, func(out io.Writer) error {
		if _, err := out.Write(raw); err != nil {
			return fileError(err)
		}
		return nil
	})
}

// remove removes the file, because the verification is complete.
func (p *checkpoint) remove() error {
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
