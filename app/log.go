package app

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// logger writes to stderr: for people on a terminal, else JSON.
func (c *cli) logger() (*zap.Logger, error) {
	name := c.logLevel
	if name == "" {
		name = "warn"
	}
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime, config.EncodeDuration = zapcore.RFC3339NanoTimeEncoder, zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(config)
	if isTerminal(c.stderr) {
		config.EncodeTime = zapcore.TimeEncoderOfLayout(clockLayout)
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(config)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(c.stderr)), level)), nil
}

// isTerminal reports whether a person sees what is written there at once.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
