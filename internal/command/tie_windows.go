package command

import (
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shellArgs leaves the line as it is: cmd.exe has rules of its own for quotes, and /S takes the
// outer ones off.
func shellArgs(line string) ([]string, *syscall.SysProcAttr) {
	return []string{"cmd"}, &syscall.SysProcAttr{CmdLine: `cmd /S /C "` + line + `"`}
}

// Tether is the hold on a process and its children, by a job: a set of processes that can be ended
// as one.
type Tether struct {
	cmd *exec.Cmd
	job windows.Handle // zero: the system gave none, and the process is held alone
}

// Tie prepares cmd, which has not started yet, to be stopped as a whole, and to end with this
// process whatever ends that. With ownGroup it gets a console process group of its own, out of
// reach of a Ctrl-C.
func Tie(cmd *exec.Cmd, ownGroup bool) *Tether {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if ownGroup {
		cmd.SysProcAttr.CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP
	}
	t := &Tether{cmd: cmd}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return t
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		windows.CloseHandle(job)
		return t
	}
	t.job = job
	return t
}

// Started has to be called once cmd has started. Children that the process started before belong to
// nobody's job.
func (t *Tether) Started() {
	if t.job == 0 {
		return
	}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE
	process, err := windows.OpenProcess(access, false, uint32(t.cmd.Process.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(t.job, process)
		windows.CloseHandle(process)
	}
	if err != nil {
		t.Release()
	}
}

// Terminate ends them: there is nothing here to ask with.
func (t *Tether) Terminate() error {
	if t.job == 0 {
		return t.cmd.Process.Kill()
	}
	return windows.TerminateJobObject(t.job, 1)
}

// Kill ends whoever is left.
func (t *Tether) Kill() { t.Terminate() }

// Release gives up what the hold itself takes; who is left in the job ends.
func (t *Tether) Release() {
	if t.job != 0 {
		windows.CloseHandle(t.job)
		t.job = 0
	}
}
