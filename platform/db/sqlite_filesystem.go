//go:build unix

package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"gorm.io/gorm"
)

// checkPlace refuses a file that cannot be written safely at its place.
func (l *sqlite) checkPlace(path string, info fs.FileInfo) error {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		return fmt.Errorf("%w: %s has %d hard links", ErrHardLink, path, s.Nlink)
	}
	return l.checkFileSystem(path)
}

// keepLog makes the open connections of a pool leave the log's file alone when they are closed.
func keepLog(g *gorm.DB) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	pool, err := g.DB()
	if err != nil {
		return err
	}
	var conns []*sql.Conn
	defer func() {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
	}()
	for range pool.Stats().OpenConnections {
		c, err := pool.Conn(ctx)
		if err != nil {
			return err
		}
		conns = append(conns, c)
		if err := c.Raw(persistLog); err != nil {
			return err
		}
	}
	return nil
}
