import { type Grammar, grammar } from './grammar.ts'

/** A program that runs the program its words go on with. */
export interface Runner {
  options: Grammar
  /** Words before the program's name. */
  skip?: number
  /** `NAME=value` may come before the program's name. */
  assigns?: true
  /** The words from here on are one text for a shell. */
  joins?: true
  /** Options whose value is a text for a shell. */
  texts?: readonly string[]
  /** Options that start a shell when no program is named. */
  shells?: true
  /** The program comes after `--` alone. */
  dashes?: true
}

const runner = (options: string, rest: Omit<Runner, 'options'> = {}): Runner => ({ options: grammar(options), ...rest })

const SUDO =
  'AbEHnPSkKviselVhN | ugpCrtTDRU | askpass background preserve-env* set-home non-interactive preserve-groups stdin shell login reset-timestamp remove-timestamp validate help version edit list | user group prompt close-from role type command-timeout chdir chroot other-user host'
const CONTAINER_EXEC =
  'dit | euw | detach interactive tty privileged latest | env env-file user workdir detach-keys index container'
const CONTAINER_RUN =
  'ditPq | aehlmpuvwc | rm detach interactive tty init privileged read-only publish-all no-healthcheck quiet sig-proxy oom-kill-disable replace no-deps service-ports build use-aliases remove-orphans | add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add health-cmd health-interval health-retries health-start-period health-timeout hostname ip ip6 ipc isolation label label-file link link-local-ip log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name network network-alias net oom-score-adj pid pids-limit platform publish pull restart runtime security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs ulimit user userns uts volume volume-driver volumes-from workdir'
const PACKAGE_EXEC = 'yq | pc | yes no no-install quiet silent prefer-offline ignore-existing bun | package call'
const PYTHON_RUN =
  'qvn | p | isolated no-sync frozen locked quiet verbose no-project active all-extras offline no-dev | with with-requirements with-editable python extra group directory project env-file package index'

/** By name, or by name and subcommand. Names after a space are subcommands, found after the program's own options. */
export const RUNNERS: ReadonlyMap<string, Runner> = new Map(
  Object.entries({
    sudo: runner(SUDO, { assigns: true, shells: true }),
    doas: runner('nsL | uC', { shells: true }),
    pkexec: runner('| | disable-internal-agent keep-cwd | user', { shells: true }),
    gosu: runner('', { skip: 1 }),
    'su-exec': runner('', { skip: 1 }),
    runuser: runner('lmpPf | cugGsw | login preserve-environment pty fast | command session-command user group shell', {
      texts: ['-c', '--command', '--session-command'],
      shells: true,
    }),
    env: runner(
      'i0v | uCS | ignore-environment null debug list-signal-handling block-signal default-signal ignore-signal | unset chdir split-string argv0',
      { assigns: true, texts: ['-S', '--split-string'] },
    ),
    nohup: runner(''),
    nice: runner('0123456789 | n | | adjustment'),
    ionice: runner('t | cnpPu | ignore | class classdata'),
    chrt: runner('bdfioramvRp | TPD', { skip: 1 }),
    taskset: runner('ac | |  all-tasks cpu-list', { skip: 1 }),
    time: runner('pvaq | fo | portability verbose append quiet | format output'),
    timeout: runner('vfp | ks | preserve-status foreground verbose | kill-after signal', { skip: 1 }),
    gtimeout: runner('vfp | ks | preserve-status foreground verbose | kill-after signal', { skip: 1 }),
    stdbuf: runner('| ioe | | input output error'),
    setsid: runner('cfw | | ctty fork wait'),
    watch: runner(
      'bcdegtpxwrC | nq | beep color no-color differences* errexit chgexit no-title precise exec no-wrap no-rerun | interval equexit',
      {
        joins: true,
      },
    ),
    hyperfine: runner(
      'Ni | wmMrspcCnSu | | warmup min-runs max-runs runs setup prepare conclude cleanup shell export-json',
      {
        joins: true,
        texts: ['-p', '-s', '-c', '-C', '--setup', '--prepare', '--conclude', '--cleanup'],
      },
    ),
    command: runner('pvV'),
    builtin: runner(''),
    exec: runner('cl | a'),
    noglob: runner(''),
    nocorrect: runner(''),
    '-': runner(''),
    repeat: runner('', { skip: 1 }),
    busybox: runner(''),
    toybox: runner(''),
    caffeinate: runner('dimsu | tw'),
    fakeroot: runner('uv | bils | unknown-is-real | lib faked'),
    unbuffer: runner('p'),
    eatmydata: runner(''),
    chronic: runner('ve'),
    proxychains: runner('q | f'),
    proxychains4: runner('q | f'),
    torsocks: runner('i | ua'),
    firejail: runner('| | quiet noprofile net* private* seccomp* caps* whitelist* blacklist* read-only* profile* | '),
    strace: runner('cCdfFhiqrtTvVxXyYzZkwDnN | abeEIoOpPsSuU | follow-forks | trace output'),
    ltrace: runner('cCfhiLrStTV | aAeFlnopsuwxX'),
    valgrind: runner('qvdh | | * |'),
    chroot: runner('| | skip-chdir | userspec groups', { skip: 1, shells: true }),
    unshare: runner(
      'mnpuifUCrTc | SGRwl | fork mount pid user map-root-user map-current-user mount-proc* uts ipc net cgroup | root wd',
      {
        shells: true,
      },
    ),
    nsenter: runner(
      'amuinpCUTFZwr | tSGR | all mount uts ipc net pid cgroup user time preserve-credentials no-fork | target',
      {
        shells: true,
      },
    ),
    flock: runner(
      'sxenuoFv | wEc | shared exclusive nonblock unlock close no-fork verbose | timeout wait conflict-exit-code command',
      {
        skip: 1,
      },
    ),
    script: runner(
      'aefq | ctmBIOTE | append return flush quiet force | command timing log-out log-in log-io log-timing echo',
      {
        skip: 1,
        texts: ['-c', '--command'],
      },
    ),
    'systemd-run': runner(
      'dtqPGrS | Hpu | user system scope wait pty pipe quiet no-block collect remain-after-exit same-dir shell | unit property description slice uid gid nice working-directory setenv host machine on-active on-calendar',
      { shells: true },
    ),
    'dbus-run-session': runner('| | | config-file dbus-daemon'),
    'xvfb-run': runner(
      'al | efnpsw | auto-servernum listen-tcp | error-file auth-file server-num xauth-protocol server-args wait',
    ),
    entr: runner('acdnprsz', { joins: true }),
    setpriv: runner(
      '| | nnp no-new-privs clear-groups init-groups keep-groups | reuid regid groups ruid euid rgid egid ambient-caps inh-caps bounding-set',
    ),
    'aws-vault': runner('', { dashes: true }),
    'direnv exec': runner('', { skip: 1 }),
    'docker exec': runner(CONTAINER_EXEC, { skip: 1 }),
    'docker container exec': runner(CONTAINER_EXEC, { skip: 1 }),
    'docker compose exec': runner(`${CONTAINER_EXEC.replace('dit', 'ditT')}`, { skip: 1 }),
    'docker run': runner(CONTAINER_RUN, { skip: 1 }),
    'docker container run': runner(CONTAINER_RUN, { skip: 1 }),
    'docker compose run': runner(CONTAINER_RUN.replace('ditPq', 'ditPqT'), { skip: 1 }),
    'kubectl exec': runner('itq | nc | stdin tty quiet | namespace container context kubeconfig pod-running-timeout', {
      skip: 1,
      dashes: true,
    }),
    'kubectl run': runner('', { dashes: true }),
    'kubectl debug': runner('', { dashes: true }),
    npx: runner(PACKAGE_EXEC, { texts: ['-c', '--call'] }),
    bunx: runner(PACKAGE_EXEC),
    pnpx: runner(PACKAGE_EXEC, { texts: ['-c', '--call'] }),
    'npm exec': runner(PACKAGE_EXEC, { texts: ['-c', '--call'] }),
    'npm x': runner(PACKAGE_EXEC, { texts: ['-c', '--call'] }),
    'pnpm exec': runner('cr | | parallel recursive shell-mode | '),
    'pnpm dlx': runner('c | | shell-mode silent | package'),
    'yarn exec': runner(''),
    'yarn dlx': runner('q | p | quiet | package'),
    'bundle exec': runner('| | keep-file-descriptors |'),
    'poetry run': runner(''),
    'pipenv run': runner(''),
    'uv run': runner(PYTHON_RUN),
    'rbenv exec': runner(''),
    'pyenv exec': runner(''),
    'mise exec': runner('', { dashes: true }),
    'nix develop': runner('| c | | command'),
    'op run': runner('', { dashes: true }),
    'doppler run': runner('', { dashes: true }),
    'dotenvx run': runner('', { dashes: true }),
    'git bisect run': runner(''),
  }),
)

/** Programs whose first words choose what they do, and the options that may come before. */
export const SUBCOMMANDS: ReadonlyMap<string, Grammar> = new Map(
  Object.entries({
    git: grammar(
      'pPhv | Cc | no-pager paginate bare no-replace-objects literal-pathspecs glob-pathspecs noglob-pathspecs icase-pathspecs no-optional-locks no-lazy-fetch no-advice version help exec-path html-path | git-dir work-tree namespace config-env super-prefix attr-source',
    ),
    docker: grammar('Dv | Hlc | debug tls tlsverify version | context config host log-level tlscacert tlscert tlskey'),
    'docker compose': grammar(
      '| fp | verbose compatibility dry-run all-resources | file project-name profile env-file project-directory ansi progress parallel',
    ),
    kubectl: grammar(
      '| nsv | insecure-skip-tls-verify warnings-as-errors match-server-version disable-compression | namespace context kubeconfig cluster user server token as as-group as-uid cache-dir certificate-authority client-certificate client-key request-timeout tls-server-name profile v',
    ),
    helm: grammar('| n | debug | namespace kube-context kubeconfig kube-apiserver kube-token'),
    npm: grammar(
      'gsdq | wCL | global silent quiet workspaces include-workspace-root | prefix workspace userconfig registry loglevel',
    ),
    pnpm: grammar('rswg | CF | recursive workspace-root silent global | dir filter reporter'),
    yarn: grammar('s | | silent verbose | cwd'),
    aws: grammar(
      '| | debug no-verify-ssl no-paginate no-sign-request no-cli-pager no-cli-auto-prompt | profile region output endpoint-url query color ca-bundle cli-read-timeout cli-connect-timeout cli-binary-format',
    ),
    gcloud: grammar(
      'q | | quiet | project account configuration format verbosity billing-project impersonate-service-account',
    ),
    gh: grammar('| R | help version | repo'),
    terraform: grammar(''),
    cargo: grammar('qvV | CZ | quiet verbose frozen locked offline version list | color config manifest-path'),
    systemctl: grammar(
      'qla | HMtpns | user system global no-pager no-block quiet all full force now | host machine type state property root',
    ),
    direnv: grammar(''),
    poetry: grammar('qvn | CP | quiet no-interaction | directory project'),
    uv: grammar('qv | | quiet verbose offline no-cache | directory project cache-dir config-file color'),
    bundle: grammar(''),
    pipenv: grammar('qv | | quiet verbose |'),
    rbenv: grammar(''),
    pyenv: grammar(''),
    mise: grammar('qvy | C | quiet verbose yes | cd env'),
    nix: grammar('LvQ | | verbose quiet offline refresh impure | extra-experimental-features option'),
    op: grammar('| | cache | account config session'),
    doppler: grammar('| tpc | debug silent | token project config'),
    dotenvx: grammar('qvd | | quiet verbose debug |'),
  }),
)

/** The same program under another name. */
export const SAME: ReadonlyMap<string, string> = new Map([
  ['podman', 'docker'],
  ['nerdctl', 'docker'],
  ['oc', 'kubectl'],
  ['k', 'kubectl'],
  ['tofu', 'terraform'],
  ['gsudo', 'sudo'],
])
