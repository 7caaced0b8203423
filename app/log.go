package app

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger writes to stderr: text on a terminal, and JSON elsewhere.
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
	encoder, out := zapcore.NewJSONEncoder(config), c.stderr.JSONLines()
	if c.stderr.IsTerminal() {
		config.EncodeTime = zapcore.TimeEncoderOfLayout(clockLayout)
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder, out = zapcore.NewConsoleEncoder(config), c.stderr
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level)), nil
}
