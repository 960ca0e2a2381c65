/* The floor under chat fan-out on this machine.
 * One process holds N accepted loopback TCP sockets and send()s the same
 * ready-made buffer to each of them; a child drains them with epoll+recv.
 * Prints CPU microseconds (user+sys, sender process only) per send().
 *   fanout N BYTES ROUNDS WINDOW COALESCE [READER_CORE]
 * READER_CORE  where the child runs, as the load generator does; the sender stays where it was started
 * WINDOW   rounds in flight (1 = lock-step, measures the un-coalesced floor)
 * COALESCE messages glued into one send() (1 = one syscall per delivery)    */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec+t.tv_nsec*1e-9;}
static double tv(struct timeval t){return t.tv_sec+t.tv_usec*1e-6;}
static int cmp(const void*a,const void*b){double x=*(double*)a,y=*(double*)b;return (x>y)-(x<y);}
int main(int c,char**v){
  if(c<6){fprintf(stderr,"N BYTES ROUNDS WINDOW COALESCE\n");return 2;}
  int N=atoi(v[1]);size_t L=atoi(v[2]);int R=atoi(v[3]),W=atoi(v[4]),K=atoi(v[5]);
  size_t B=L*K; char*buf=malloc(B);memset(buf,'x',B);
  struct rlimit rl;getrlimit(RLIMIT_NOFILE,&rl);rl.rlim_cur=rl.rlim_max;setrlimit(RLIMIT_NOFILE,&rl);
  int ls=socket(AF_INET,SOCK_STREAM,0),one=1;setsockopt(ls,SOL_SOCKET,SO_REUSEADDR,&one,sizeof one);
  struct sockaddr_in a={.sin_family=AF_INET,.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};socklen_t al=sizeof a;
  if(bind(ls,(void*)&a,al)||listen(ls,4096))return perror("listen"),1;
  getsockname(ls,(void*)&a,&al);
  int ack[2];if(pipe(ack))return 1;
  pid_t p=fork();
  if(!p){ /* reader */
    if(c>6){cpu_set_t set;CPU_ZERO(&set);CPU_SET(atoi(v[6]),&set);if(sched_setaffinity(0,sizeof set,&set))perror("core");}
    close(ack[0]);close(ls);int ep=epoll_create1(0);
    for(int i=0;i<N;i++){int s=socket(AF_INET,SOCK_STREAM,0);
      if(connect(s,(void*)&a,sizeof a)){perror("connect");_exit(1);}
      fcntl(s,F_SETFL,O_NONBLOCK);struct epoll_event e={.events=EPOLLIN,.data.fd=s};epoll_ctl(ep,EPOLL_CTL_ADD,s,&e);}
    static char rb[1<<18];struct epoll_event ev[1024];
    unsigned long long got=0,need=(unsigned long long)N*B,done=0;
    while(done<(unsigned)R){int n=epoll_wait(ep,ev,1024,-1);
      for(int i=0;i<n;i++){ssize_t r=recv(ev[i].data.fd,rb,sizeof rb,0);if(r>0)got+=r;else if(r==0)_exit(0);}
      while(got>=need*(done+1)){done++;if(write(ack[1],"k",1)<0)_exit(1);}}
    _exit(0);}
  close(ack[1]);int*fd=malloc(sizeof(int)*N);
  for(int i=0;i<N;i++){fd[i]=accept(ls,0,0);if(fd[i]<0)return perror("accept"),1;
    setsockopt(fd[i],IPPROTO_TCP,TCP_NODELAY,&one,sizeof one);fcntl(fd[i],F_SETFL,O_NONBLOCK);}
  double*lat=malloc(sizeof(double)*R);double*t0=malloc(sizeof(double)*R);int infl=0,acked=0;char k[256];
  unsigned long long sends=0,again=0;struct rusage u0,u1;getrusage(RUSAGE_SELF,&u0);double s=now();
  for(int r=0;r<R;r++){ t0[r]=now();
    for(int i=0;i<N;i++){size_t off=0;
      while(off<B){ssize_t w=send(fd[i],buf+off,B-off,MSG_NOSIGNAL);sends++;
        if(w<0){if(errno!=EAGAIN)return perror("send"),1;again++;struct pollfd q={fd[i],POLLOUT,0};poll(&q,1,-1);continue;}
        off+=w;}}
    infl++;
    while(infl>=W){ssize_t n=read(ack[0],k,sizeof k);if(n<=0)return 1;double t=now();
      for(int j=0;j<n;j++){lat[acked]=t-t0[acked];acked++;} infl-=n;}}
  while(acked<R){ssize_t n=read(ack[0],k,sizeof k);if(n<=0)break;double t=now();for(int j=0;j<n;j++){lat[acked]=t-t0[acked];acked++;}}
  double e=now()-s;getrusage(RUSAGE_SELF,&u1);
  double us=tv(u1.ru_utime)-tv(u0.ru_utime),sy=tv(u1.ru_stime)-tv(u0.ru_stime),del=(double)N*R*K;
  qsort(lat,acked,sizeof(double),cmp);
  printf("{\"n\":%d,\"bytes\":%zu,\"coalesce\":%d,\"window\":%d,\"deliveries_per_s\":%.0f,\"sender_cpu_us_per_delivery\":%.4f,"
    "\"sender_cpu_us_per_send\":%.4f,\"user_share\":%.3f,\"eagain\":%llu,\"round_p50_ms\":%.3f,\"round_p99_ms\":%.3f}\n",
    N,L,K,W,del/e,(us+sy)*1e6/del,(us+sy)*1e6/sends,us/(us+sy+1e-12),again,lat[acked/2]*1e3,lat[(int)(acked*.99)]*1e3);
  kill(p,9);waitpid(p,0,0);return 0;}
