package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pulsering/pulsering/internal/command"
)

// Exec returns a checker that runs a line for the shell: exit status 0 is well. The reason of a
// failure is how it ended, and the last line that it printed. What it printed is not logged. It
// ends as every [command.Command] does.
func Exec(line string) Checker {
	return func(ctx context.Context) error {
		var last string
		err := command.Command{
			Line: line,
			Output: func(printed string) {
				if strings.TrimSpace(printed) != "" {
					last = printed
				}
			},
		}.Run(ctx)
		if _, ended := errors.AsType[command.ExitError](err); ended && last != "" {
			return fmt.Errorf("%w: %s", err, last)
		}
		return err
	}
}
