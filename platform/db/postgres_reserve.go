package db

// allocateSequence advances the column's sequence. The lock keeps others from taking numbers in between. It is held
// briefly.
func (p *postgres) allocateSequence(tx Tx, table, column string, n int64) (base int64, err error) {
	name := p.table(tx.tenant, table)
	if _, err := tx.Exec(`LOCK TABLE `+name+` IN SHARE ROW EXCLUSIVE MODE`, nil); err != nil {
		return 0, err
	}
	err = tx.Query(`SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($name, $column)::regclass), 0)`,
		Args{"name": name, "column": column}, func(scan Scan) error { return scan(&base) })
	if err != nil || n == 0 {
		return base, err
	}
	return base, tx.Query(`SELECT setval(pg_get_serial_sequence($name, $column)::regclass, $last)`,
		Args{"name": name, "column": column, "last": base + n}, func(scan Scan) error { return scan(&n) })
}
