package db

import (
	"errors"
)

// advice is what a user can do about errors of PostgreSQL, by SQLSTATE.
var advice = map[string]string{
	"08P01": "a pooler refused a parameter of the connection: leave only application_name and pool_mode in the URL",
	"25006": "the server is read-only, as a standby is: name the primary with --database-url, or give all hosts and " +
		"target_session_attrs=read-write",
	"26000": pooledAdvice,
	"28P01": "check the user name and the password of --database-url (SLUICE_DATABASE_URL)",
	"28000": "check the user name of --database-url (SLUICE_DATABASE_URL) and the server's pg_hba.conf",
	"3D000": "create it first: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0",
	"42501": "let an administrator grant what is missing: GRANT CREATE, USAGE ON SCHEMA public TO the user (to " +
		"migrate), or work in a schema of the user's own with --tenant; without migrating, SELECT, INSERT, UPDATE, " +
		"DELETE on all tables and USAGE on sequences suffice",
	"42P05": pooledAdvice,
	"53300": "all of the server's connections are in use: raise max_connections, end idle ones, or give each process " +
		"fewer with pool_max_conns in the URL; a process of sluice uses pool_max_conns (10) + 3",
	"57014": "a statement_timeout or a cancel ended the statement: look for who holds the lock it waited for with " +
		"`sluice doctor`",
	"55P03": "a lock_timeout ended the wait for a lock: look for who holds it with `sluice doctor`",
}

const pooledAdvice = "a pooler such as PgBouncer in transaction mode needs pool_mode=transaction in the URL; migrate " +
	"over a direct connection"

// Advice returns what a user can do about an error of the database, or "".
func Advice(err error) string {
	switch {
	case errors.Is(err, ErrEncoding):
		return "make a database with CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and move the data there"
	case errors.Is(err, ErrNoBackup):
		return "use pg_dump, or a base backup with pg_basebackup (docs/operations.md)"
	case errors.Is(err, ErrFileExists):
		return "name a file that does not exist yet"
	case errors.Is(err, ErrReplaced):
		return "put the file back, or start again with the file that is there now; nothing was written to either " +
			"since it was noticed"
	case errors.Is(err, ErrHardLink):
		return "remove all names but one (`find -samefile` lists them): SQLite's log belongs to one name, and two " +
			"would corrupt the file"
	case errors.Is(err, ErrNetworkFile):
		return "use a local disk, or PostgreSQL for several machines; sqlite://PATH" + networkOption +
			" allows it where one machine alone uses the file"
	case errors.Is(err, ErrTransactionPooling):
		return "add pool_mode=transaction to the URL, or have the pooler use session mode"
	case errors.Is(err, ErrMigratePooled):
		return "run this command with the server's own address in --database-url"
	case errors.Is(err, ErrSearchPath):
		return "connect to the server directly, or let the pooler use session mode: nothing was written"
	}
	return advice[sqlState(err)]
}
