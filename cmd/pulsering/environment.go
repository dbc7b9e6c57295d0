package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A flag that may stand in the file of --config may stand in the environment too: --stall-allowance is PULSERING_STALL_ALLOWANCE.
// A variable that is no flag is worth a warning and no error. The environment is not the operator's alone: Kubernetes sets
// PULSERING_PORT for a Service named pulsering, images set versions, and a node of the next version may share the unit file.
// Variables of other commands, of Kubernetes and of events' hooks are passed over without a word.

const variablePrefix = "PULSERING_"

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return variablePrefix + strings.ReplaceAll(strings.ToUpper(flag), "-", "_")
}

// fromEnvironment is what the environment gives to a flag; nil: nothing. Commas separate the pairs of a flag that takes several:
// one with a comma in it has its place in the file, or on the command line.
func fromEnvironment(flag *kong.Flag) *given {
	name := variable(flag.Name)
	value, ok := os.LookupEnv(name)
	if !ok {
		return nil
	}
	texts := []string{value}
	if flag.Target.Kind() == mapKind {
		texts = strings.Split(value, ",")
	}
	g := &given{source: name}
	for _, text := range texts {
		g.items = append(g.items, item{text: text, at: name})
	}
	return g
}

// foreignVariable are those that Kubernetes sets for Services (and Docker once set for links), and those that a hook gets.
var foreignVariable = regexp.MustCompile(
	`^PULSERING_(EVENT_.*|(.+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?))$`)

// strangeVariables are warnings about variables that are read by no command. The names are those of the present one.
func strangeVariables(names []string, commands []*kong.Node) (warnings []string) {
	known := []string{variable("config")}
	for _, command := range commands {
		for _, flag := range settable(command) {
			known = append(known, variable(flag.Name))
		}
	}
	var own []string
	for _, name := range append(names, "config") {
		own = append(own, variable(name))
	}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, variablePrefix) && !slices.Contains(known, name) && !foreignVariable.MatchString(name) {
			warnings = append(warnings, fmt.Sprintf("unknown variable %s in the environment%s", printable(name), didYouMean(name, own)))
		}
	}
	slices.Sort(warnings)
	return warnings
}
