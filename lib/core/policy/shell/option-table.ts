import { type Grammar, grammar } from './grammar.ts'

interface Meaning {
  /** `-f`, `--force`, `-X=DELETE` (with this value), `-delete` (one word), `arg:+*` (a word that is no option). */
  spelled: readonly string[]
}

interface Program {
  options: Grammar
  meanings: ReadonlyMap<string, Meaning>
}

const program = (options: string, meanings: Record<string, string>): Program => ({
  options: grammar(options),
  meanings: new Map(Object.entries(meanings).map(([name, spelled]) => [name, { spelled: spelled.split(' ') }])),
})

const CONTAINER = { force: '-f --force', all: '-a --all', volumes: '-v --volumes' }

/** The options of well-known programs by what they mean. */
export const PROGRAMS: ReadonlyMap<string, Program> = new Map(
  Object.entries({
    rm: program(
      'dfirRvIxPW | | recursive force verbose dir one-file-system no-preserve-root preserve-root* interactive*',
      {
        recursive: '-r -R --recursive',
        force: '-f --force',
      },
    ),
    grm: program('dfirRvI', { recursive: '-r -R --recursive', force: '-f --force' }),
    shred: program('fuvxz | ns', { force: '-f --force', delete: '-u --remove' }),
    chmod: program('cfvRhHLP', { recursive: '-R --recursive' }),
    chown: program('cfvRhHLP', { recursive: '-R --recursive' }),
    chgrp: program('cfvRhHLP', { recursive: '-R --recursive' }),
    cp: program('abdfiHlLnPprRsTuvxZ | St', { recursive: '-r -R -a --recursive --archive', force: '-f --force' }),
    mv: program('bfinTuvZ | St', { force: '-f --force' }),
    ln: program('bdfFiLnPrsTv | St', { force: '-f --force' }),
    scp: program('346ABCOpqrRTv | cDFiJloPSX', { recursive: '-r' }),
    rsync: program('vqcarRbuldLkHpAXogDtSNnWxCzhiPIymF | eTfBM', {
      recursive: '-r -a --recursive --archive',
      delete:
        '--delete --delete-before --delete-during --delete-after --delete-excluded --delete-delay --del --remove-source-files --delete-missing-args',
      'dry-run': '-n --dry-run',
    }),
    find: program('', { delete: '-delete' }),
    sed: program('nrEsuz | efl', { 'in-place': '-i --in-place' }),
    perl: program('nplaw | eEMmIF0', { 'in-place': '-i' }),
    grep: program('EFGPivwxcLloqshHnTZUaIrRbyz | efmABCDd', { recursive: '-r -R --recursive --dereference-recursive' }),
    cat: program('AbeEnstTuv', {}),
    ls: program('aAbBcCdfFgGhHiklLmnNopqQrRsStuUvxXZ1 | ITw', { recursive: '-R --recursive', all: '-a -A --all' }),
    head: program('qvz0123456789 | cn', {}),
    tail: program('fFqrvz0123456789 | bcns', {}),
    wc: program('clmwL', {}),
    curl: program('', { delete: '-X=DELETE --request=DELETE', upload: '-T --upload-file -d --data* -F --form*' }),
    wget: program('', { delete: '--method=DELETE', recursive: '-r --recursive' }),
    http: program('', { delete: 'arg:DELETE' }),
    https: program('', { delete: 'arg:DELETE' }),
    xh: program('', { delete: 'arg:DELETE' }),
    'git push': program('vqnfud46 | o', {
      force: '-f --force --force-with-lease --force-if-includes arg:+*',
      delete: '-d --delete arg::?*',
      mirror: '--mirror',
      prune: '--prune',
      all: '--all --branches',
      tags: '--tags',
      'dry-run': '-n --dry-run',
    }),
    'git send-pack': program('', {
      force: '--force arg:+*',
      delete: 'arg::?*',
      mirror: '--mirror',
      all: '--all',
      'dry-run': '--dry-run',
    }),
    'git branch': program('vqafdDmMcCrli | tu', { delete: '-d -D --delete', force: '-f -D -M --force' }),
    'git tag': program('alsfdvin | mFu', { delete: '-d --delete', force: '-f --force' }),
    'git clean': program('dfiqnxX | e', { force: '-f --force', recursive: '-d', 'dry-run': '-n --dry-run' }),
    'git reset': program('qpN', { hard: '--hard' }),
    'git checkout': program('qflmptd | bB', { force: '-f --force' }),
    'git switch': program('qfdm | cC', { force: '-f --force --discard-changes' }),
    'git rm': program('fnrq', { recursive: '-r', force: '-f --force' }),
    'git commit': program('apsvqneiozC | mFcCtuS', { amend: '--amend', all: '-a --all' }),
    'git worktree': program('', { force: '-f --force' }),
    'docker rm': program('flv', CONTAINER),
    'docker rmi': program('f', CONTAINER),
    'docker system': program('af', CONTAINER),
    'docker volume': program('af', CONTAINER),
    'docker image': program('af', CONTAINER),
    'docker container': program('af', CONTAINER),
    'docker compose': program('vf', CONTAINER),
    'docker run': program('', { privileged: '--privileged' }),
    'kubectl delete': program('AR | fklno', {
      all: '--all -A --all-namespaces',
      force: '--force',
      'dry-run': '--dry-run',
    }),
    'kubectl apply': program('R | fkln', { force: '--force', prune: '--prune', 'dry-run': '--dry-run' }),
    'aws s3': program('', { recursive: '--recursive', delete: '--delete', 'dry-run': '--dryrun' }),
    'gh repo': program('', { delete: 'arg:delete' }),
    'gh api': program('i | XFfHqt', { delete: '-X=DELETE --method=DELETE' }),
    'npm publish': program('', { force: '-f --force', 'dry-run': '--dry-run' }),
    'terraform apply': program('', { 'auto-approve': '-auto-approve --auto-approve', destroy: '-destroy --destroy' }),
    'terraform destroy': program('', { 'auto-approve': '-auto-approve --auto-approve' }),
    'remove-item': program('', { recursive: '-r* -R*', force: '-fo* -Fo*' }),
  }),
)
