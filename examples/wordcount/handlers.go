package wordcount

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// FindIn says where to look.
type FindIn struct {
	Dir     string `json:"dir" sluice:"required"`
	Pattern string `json:"pattern" sluice:"required"`
}

// FindOut is what was found, in the order of names.
type FindOut struct {
	Files []string `json:"files"`
}

func newFind() tasks.Handler { return tasks.NewHandler("wordcount.find", find) }

func find(ctx context.Context, in FindIn) (FindOut, error) {
	if _, err := filepath.Match(in.Pattern, ""); err != nil {
		return FindOut{}, tasks.NonRetryable(fmt.Errorf("pattern %q: %w", in.Pattern, err))
	}
	out := FindOut{Files: []string{}}
	err := filepath.WalkDir(in.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		matched, err := filepath.Match(in.Pattern, entry.Name())
		if matched && entry.Type().IsRegular() {
			out.Files = append(out.Files, path)
		}
		return errors.Join(err, ctx.Err())
	})
	if errors.Is(err, fs.ErrNotExist) {
		return FindOut{}, tasks.NonRetryable(err) // no later attempt will find it
	}
	return out, err
}

// CountIn says what to count: "words" or "lines".
type CountIn struct {
	Files []string `json:"files" sluice:"required"`
	What  string   `json:"what" sluice:"required"`
}

// CountOut is the count over all files.
type CountOut struct {
	Total int `json:"total"`
}

func newCount() tasks.Handler { return tasks.NewHandler("wordcount.count", count) }

func count(ctx context.Context, in CountIn) (CountOut, error) {
	split, ok := map[string]bufio.SplitFunc{"words": bufio.ScanWords, "lines": bufio.ScanLines}[in.What]
	if !ok {
		return CountOut{}, tasks.NonRetryable(fmt.Errorf(`cannot count %q: expected "words" or "lines"`, in.What))
	}
	var out CountOut
	for _, path := range in.Files {
		n, err := countFile(path, split)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return CountOut{}, err
		}
		out.Total += n
	}
	return out, nil
}

func countFile(path string, split bufio.SplitFunc) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	s.Split(split)
	for s.Scan() {
		n++
	}
	if err := s.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// ReportIn is what there is to report.
type ReportIn struct {
	Files []string `json:"files"`
	Words int      `json:"words"`
	Lines int      `json:"lines"`
}

// ReportOut is the result of the pipeline.
type ReportOut struct {
	Files         int     `json:"files"`
	Words         int     `json:"words"`
	Lines         int     `json:"lines"`
	WordsPerLine  float64 `json:"words_per_line"`
	AttemptsTaken int     `json:"attempts_taken"` // by this task
}

func newReport() tasks.Handler { return tasks.NewHandler("wordcount.report", report) }

func report(ctx context.Context, in ReportIn) (ReportOut, error) {
	out := ReportOut{Files: len(in.Files), Words: in.Words, Lines: in.Lines}
	if in.Lines > 0 {
		out.WordsPerLine = float64(in.Words) / float64(in.Lines)
	}
	if call, ok := tasks.AttemptFrom(ctx); ok {
		out.AttemptsTaken = call.Number
		_, _ = fmt.Fprintf(call.Stdout, "%d files, %d words, %d lines\n", out.Files, out.Words,
			out.Lines) // a log refuses nothing
	}
	return out, nil
}
