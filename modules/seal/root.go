package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Root is one hash over all seals of a period.
type Root struct {
	Root       string      `json:"root"` // hex SHA-256 over one line "id seal" per execution
	Executions int64       `json:"executions"`
	Unsealed   int64       `json:"unsealed"` // ended in the period without a seal of that end
	Since      dbtype.Time `json:"since"`
	Until      dbtype.Time `json:"until"`
}

// Root computes the hash over the executions that ended from since, inclusive, to until, exclusive, in the order of
// their ids. A zero time is no bound.
func (s *Sealer) Root(ctx context.Context, since, until dbtype.Time) (Root, error) {
	r := Root{Since: since, Until: until}
	bounds, args := "", db.Args{"since": since, "until": until}
	if !since.IsZero() {
		bounds += ` AND completed_at >= $since`
	}
	if !until.IsZero() {
		bounds += ` AND completed_at < $until`
	}
	sum := sha256.New()
	err := s.db.Query(ctx,
		`SELECT id, seal, CASE WHEN seal IS NOT NULL AND sealed_version = version THEN 1 ELSE 0 END
  FROM {pipeline_executions}
WHERE status IN ('Completed', 'Failed', 'Cancelled')`+bounds+` ORDER BY id`, args, func(scan db.Scan) error {
			var id dbtype.ID
			var seal dbtype.Text
			var sealed int
			if err := scan(&id, &seal, &sealed); err != nil {
				return err
			}
			if sealed == 0 {
				r.Unsealed++
				return nil
			}
			r.Executions++
			_, err := fmt.Fprintf(sum, "%s %s\n", id, seal)
			return err
		})
	r.Root = hex.EncodeToString(sum.Sum(nil))
	return r, db.Wrap("read seals", err)
}
