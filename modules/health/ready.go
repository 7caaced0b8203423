package health

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// probeTimeout bounds how long a check waits for the database.
const probeTimeout = time.Second

// Report is the body of a response of /readyz.
type Report struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

// Check is one condition for being ready.
type Check struct {
	Name   string `json:"name"` // database, schema, lease, start or accepting
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not, in fixed words: an error may reveal secrets
}

// live responds with 200 as long as the process can serve requests.
func live(w http.ResponseWriter, _ *http.Request) {
	plain(w, "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // an error means that the client has disconnected
}

// ready responds with 200 if the process can accept work, else 503.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	report := s.report(r.Context())
	plain(w, "application/json")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(report) // an error means that the client has disconnected
}

func plain(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

func (s *Server) report(ctx context.Context) Report {
	report := Report{Ready: true, Checks: append(s.database(ctx), s.lease(), s.start(), s.open())}
	for _, c := range report.Checks {
		report.Ready = report.Ready && c.OK
	}
	return report
}

// database checks the schema version of each tenant, which also shows whether the database is reachable.
func (s *Server) database(ctx context.Context) []Check {
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	tenants := s.tenants(ctx)
	reachable, schema := Check{Name: "database", OK: true}, Check{Name: "schema", OK: true}
	for _, tenant := range tenants {
		err := s.deps.DB.CheckSchema(db.WithTenant(limited, tenant))
		switch {
		case err == nil:
			continue
		case errors.Is(err, db.ErrSchemaOutdated):
			schema.OK, schema.Reason = false, of(tenant)+"behind this binary: run `sluice migrate`"
		case errors.Is(err, db.ErrSchemaTooNew):
			schema.OK, schema.Reason = false, of(tenant)+"ahead of this binary: install a newer sluice"
		case errors.Is(err, db.ErrTenantNotFound):
			schema.OK, schema.Reason = false, of(tenant)+"gone"
		case limited.Err() != nil:
			reachable.OK, reachable.Reason = false, "no answer within "+probeTimeout.String()
		default:
			reachable.OK, reachable.Reason = false, "unreachable"
		}
		break
	}
	if !reachable.OK {
		schema.OK, schema.Reason = false, "unknown"
	}
	return []Check{reachable, schema}
}

// of returns the prefix that names a reason's tenant. It is empty for the default tenant.
func of(tenant string) string {
	if tenant == db.DefaultTenant {
		return ""
	}
	return "tenant " + tenant + ": "
}

// lease checks that this process holds its lease for every tenant.
func (s *Server) lease() Check {
	list, _, _ := s.standings()
	if len(list) == 0 {
		return Check{Name: "lease", Reason: "not yet registered"}
	}
	for _, p := range list {
		switch {
		case p.Worker == "":
			return Check{Name: "lease", Reason: of(p.tenant) + "not yet registered"}
		case p.LeaseLeft <= 0:
			return Check{Name: "lease", Reason: of(p.tenant) + "expired"}
		}
	}
	return Check{Name: "lease", OK: true}
}

// start checks that this process can start the tasks that it claims.
func (s *Server) start() Check {
	list, _, _ := s.standings()
	for _, p := range list {
		if p.CannotRun != "" {
			return Check{Name: "start", Reason: "cannot start tasks of handler " + p.CannotRun}
		}
	}
	return Check{Name: "start", OK: true}
}

func (s *Server) open() Check {
	if s.draining.Load() {
		return Check{Name: "accepting", Reason: "the process is stopping"}
	}
	return Check{Name: "accepting", OK: true}
}
